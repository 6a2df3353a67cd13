/* libcurl, loaded when the first call needs it: its forty shared libraries
 * would cost every start of the program some milliseconds, and most starts
 * never speak HTTP. Its functions keep their names. */
#ifndef TRANSHIP_HTTP_CURL_H
#define TRANSHIP_HTTP_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#include "tranship/err.h"

#define TSH_CURL_FUNCTIONS(X)                                                  \
  X(curl_global_init)                                                          \
  X(curl_free)                                                                 \
  X(curl_slist_append)                                                         \
  X(curl_slist_free_all)                                                       \
  X(curl_easy_init)                                                            \
  X(curl_easy_cleanup)                                                         \
  X(curl_easy_setopt)                                                          \
  X(curl_easy_getinfo)                                                         \
  X(curl_easy_pause)                                                           \
  X(curl_easy_strerror)                                                        \
  X(curl_easy_header)                                                          \
  X(curl_multi_init)                                                           \
  X(curl_multi_cleanup)                                                        \
  X(curl_multi_setopt)                                                         \
  X(curl_multi_assign)                                                         \
  X(curl_multi_add_handle)                                                     \
  X(curl_multi_remove_handle)                                                  \
  X(curl_multi_socket_action)                                                  \
  X(curl_multi_info_read)                                                      \
  X(curl_url)                                                                  \
  X(curl_url_cleanup)                                                          \
  X(curl_url_get)                                                              \
  X(curl_url_set)

typedef struct tsh_http__curl {
#define X(name) __typeof__(&name) name;
  TSH_CURL_FUNCTIONS(X)
#undef X
} tsh_http__curl;

extern tsh_http__curl tsh_curl;

/* Once per process; any thread. */
int tsh_http__load_curl(tsh_err *err);

#ifndef TSH_CURL_LOADER
#define curl_free tsh_curl.curl_free
#define curl_slist_append tsh_curl.curl_slist_append
#define curl_slist_free_all tsh_curl.curl_slist_free_all
#define curl_easy_init tsh_curl.curl_easy_init
#define curl_easy_cleanup tsh_curl.curl_easy_cleanup
#define curl_easy_setopt tsh_curl.curl_easy_setopt
#define curl_easy_getinfo tsh_curl.curl_easy_getinfo
#define curl_easy_pause tsh_curl.curl_easy_pause
#define curl_easy_strerror tsh_curl.curl_easy_strerror
#define curl_easy_header tsh_curl.curl_easy_header
#define curl_multi_init tsh_curl.curl_multi_init
#define curl_multi_cleanup tsh_curl.curl_multi_cleanup
#define curl_multi_setopt tsh_curl.curl_multi_setopt
#define curl_multi_assign tsh_curl.curl_multi_assign
#define curl_multi_add_handle tsh_curl.curl_multi_add_handle
#define curl_multi_remove_handle tsh_curl.curl_multi_remove_handle
#define curl_multi_socket_action tsh_curl.curl_multi_socket_action
#define curl_multi_info_read tsh_curl.curl_multi_info_read
#define curl_url tsh_curl.curl_url
#define curl_url_cleanup tsh_curl.curl_url_cleanup
#define curl_url_get tsh_curl.curl_url_get
#define curl_url_set tsh_curl.curl_url_set
#endif

#endif
