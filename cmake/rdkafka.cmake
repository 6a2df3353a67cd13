# rdkafka::rdkafka: the system's librdkafka if it is new enough, else the one
# that tests/world/install built into the user's cache (static).
# Older than 2.6.1 cannot log in by SCRAM to brokers of today.

set(rdkafka_oldest 2.8.0)
if(DEFINED ENV{XDG_CACHE_HOME})
  set(rdkafka_cache $ENV{XDG_CACHE_HOME}/tranship)
else()
  set(rdkafka_cache $ENV{HOME}/.cache/tranship)
endif()
set(rdkafka_bundle ${rdkafka_cache}/librdkafka-${rdkafka_oldest}-tranship4)

add_library(rdkafka::rdkafka INTERFACE IMPORTED)
set(rdkafka_choice ${TRANSHIP_RDKAFKA})
if(NOT rdkafka_choice STREQUAL bundled)
  pkg_check_modules(rdkafka IMPORTED_TARGET rdkafka>=${rdkafka_oldest})
  if(rdkafka_FOUND)
    set(rdkafka_choice system)
  elseif(rdkafka_choice STREQUAL system)
    message(FATAL_ERROR "the system has no librdkafka >= ${rdkafka_oldest}")
  else()
    set(rdkafka_choice bundled)
  endif()
endif()

if(rdkafka_choice STREQUAL system)
  target_link_libraries(rdkafka::rdkafka INTERFACE PkgConfig::rdkafka)
else()
  if(NOT EXISTS ${rdkafka_bundle}/lib/librdkafka.a)
    message(FATAL_ERROR "no ${rdkafka_bundle}: run tests/world/install rdkafka")
  endif()
  pkg_check_modules(rdkafka_needs REQUIRED IMPORTED_TARGET
    openssl zlib libzstd liblz4)
  target_include_directories(rdkafka::rdkafka SYSTEM INTERFACE
    ${rdkafka_bundle}/include)
  target_link_libraries(rdkafka::rdkafka INTERFACE
    ${rdkafka_bundle}/lib/librdkafka.a PkgConfig::rdkafka_needs
    Threads::Threads dl m)
endif()
message(STATUS "librdkafka: ${rdkafka_choice}")
