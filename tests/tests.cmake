# Every test is a file that is found here; nothing is registered by hand.
#   tests/core/test_*.c            label core     one cmocka program each
#   tests/fuzz/fuzz_*.c            label core     libFuzzer, with clang only
#   tests/lua/**/test_*.lua        label lua      run by tranship --test
#   tests/rules/*.lua              label rules
#   tests/runbook/test_*.lua       label runbook
#   tests/kafka/*.lua              label kafka    start brokers of their own
#   tests/kube/*.lua               label kube     start API servers of their own
#   tests/world/apps/*.c           programs of the world, not tests

# Under TSAN everything takes five to ten times as long.
set(core_timeout 120)
if(TRANSHIP_SANITIZE MATCHES thread)
  set(core_timeout 600)
endif()

option(TRANSHIP_CORE_TESTS "build the tests of the core (needs cmocka)" ON)

if(TRANSHIP_CORE_TESTS)
  pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka)
  file(GLOB core_tests CONFIGURE_DEPENDS tests/core/test_*.c)
  foreach(file IN LISTS core_tests)
    get_filename_component(name ${file} NAME_WE)
    add_executable(${name} ${file})
    target_include_directories(${name} PRIVATE vm)
    target_link_libraries(${name} PRIVATE transhipcore PkgConfig::cmocka)
    add_test(NAME core/${name} COMMAND ${name}
      WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(core/${name} PROPERTIES LABELS core
      TIMEOUT ${core_timeout})
  endforeach()
endif()

# Fuzzing needs clang's libFuzzer, and the code under test built for it.
if(CMAKE_C_COMPILER_ID MATCHES Clang)
  set(fuzz_flags -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  get_target_property(core_libraries transhipcore LINK_LIBRARIES)
  add_library(fuzzcore STATIC EXCLUDE_FROM_ALL ${core_files})
  target_include_directories(fuzzcore PUBLIC include)
  target_link_libraries(fuzzcore PUBLIC ${core_libraries})
  target_compile_options(fuzzcore PRIVATE -fsanitize=fuzzer-no-link
    ${fuzz_flags})
  file(GLOB fuzz_tests CONFIGURE_DEPENDS tests/fuzz/fuzz_*.c)
  foreach(file IN LISTS fuzz_tests)
    get_filename_component(name ${file} NAME_WE)
    add_executable(${name} ${file})
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer ${fuzz_flags})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer ${fuzz_flags})
    target_link_libraries(${name} PRIVATE fuzzcore)
    add_test(NAME core/${name}
      COMMAND ${name} -max_total_time=5 -max_len=600 -verbosity=0)
    set_tests_properties(core/${name} PROPERTIES LABELS core TIMEOUT 120)
  endforeach()
endif()

function(lua_tests label glob pattern timeout)
  file(${glob} files CONFIGURE_DEPENDS RELATIVE
    ${CMAKE_CURRENT_SOURCE_DIR}/tests ${pattern})
  foreach(file IN LISTS files)
    string(REGEX REPLACE "\\.lua$" "" name ${file})
    add_test(NAME ${name} COMMAND tranship --test tests/${file}
      WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout})
  endforeach()
endfunction()

set(tests ${CMAKE_CURRENT_SOURCE_DIR}/tests)
lua_tests(lua GLOB_RECURSE ${tests}/lua/test_*.lua 120)
lua_tests(rules GLOB ${tests}/rules/*.lua 120)
lua_tests(runbook GLOB_RECURSE ${tests}/runbook/test_*.lua 300)
lua_tests(kafka GLOB ${tests}/kafka/*.lua 600)
lua_tests(kube GLOB ${tests}/kube/*.lua 900)
# tests/run gives servers and applications three places on two cores, as they wait
# for each other half of the time. These take two of the places: applications at
# thousands of records a second, six brokers at once, a thousand kills.
set_tests_properties(kafka/demo_forward kafka/demo_rollback kafka/weather_brokers
  kafka/mirror_kill kube/demo kube/hardship PROPERTIES PROCESSORS 2)
# What takes longest begins first (seconds, about), so that nothing long is left
# to run alone at the end.
foreach(cost kube/hardship=590 kafka/crash_moves=570 kube/demo=330 kafka/mirror_kill=230
    kafka/demo_forward=130 kafka/weather_brokers=125 kafka/demo_rollback=120
    kafka/mirror_secured=105
    kube/mirror_maker_live=105 kafka/mirror_group=95 kube/run_weather=90
    kube/bridge_credentials=85 kube/strimzi_shaped=85 kube/workload=85)
  string(REPLACE "=" ";" cost ${cost})
  list(GET cost 0 name)
  list(GET cost 1 seconds)
  set_tests_properties(${name} PROPERTIES COST ${seconds} TIMEOUT 1500)
endforeach()

# The applications of the world: independent of tranship's code.
file(GLOB app_library_files CONFIGURE_DEPENDS tests/world/apps/lib/*.c)
if(app_library_files)
  add_library(worldapps STATIC ${app_library_files})
  target_include_directories(worldapps PUBLIC tests/world/apps/lib)
  target_link_libraries(worldapps PUBLIC rdkafka::rdkafka)
endif()
file(GLOB apps CONFIGURE_DEPENDS tests/world/apps/*.c)
foreach(file IN LISTS apps)
  get_filename_component(name ${file} NAME_WE)
  add_executable(world_${name} ${file})
  set_target_properties(world_${name} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/apps)
  target_link_libraries(world_${name} PRIVATE worldapps)
endforeach()

# Preloaded by tests into the program they test; see there.
add_library(stepped MODULE tests/world/clock/stepped.c)
set_target_properties(stepped PROPERTIES PREFIX ""
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/apps)
