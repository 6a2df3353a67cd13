/* Loading libcurl. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define TSH_CURL_LOADER
#include "http_curl.h"

tsh_http__curl tsh_curl;

static char why[256];

static void load(void) {
  void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  void *symbol;

  if (library == NULL) {
    snprintf(why, sizeof why, "%s", dlerror());
    return;
  }
#define X(name)                                                                \
  symbol = dlsym(library, #name);                                              \
  if (symbol == NULL && why[0] == '\0')                                        \
    snprintf(why, sizeof why, "libcurl has no %s: 7.85 or newer is needed",    \
             #name);                                                           \
  memcpy(&tsh_curl.name, &symbol, sizeof symbol);
  TSH_CURL_FUNCTIONS(X)
#undef X
  if (why[0] == '\0')
    tsh_curl.curl_global_init(CURL_GLOBAL_DEFAULT);
}

int tsh_http__load_curl(tsh_err *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once(&once, load);
  return why[0] == '\0' ? 0
                        : tsh_err_set(err, TSH_NOT_FOUND, "http", 0,
                                      "libcurl cannot be used: %s", why);
}
