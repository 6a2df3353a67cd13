/* Loading libcurl. */
#define TSH_CURL_LOADER
#include "http_curl.h"

#include <stddef.h>

#include "library.h"

tsh_http__curl tsh_curl;

#define X(name) #name,
static const char *const names[] = {TSH_CURL_FUNCTIONS(X) NULL};
#undef X

static void begin(void) { tsh_curl.curl_global_init(CURL_GLOBAL_DEFAULT); }

int tsh_http__load_curl(tsh_err *err) {
  static tsh_library library = {.file = "libcurl.so.4",
                                .called = "libcurl",
                                .origin = "http",
                                .needed = ": 7.85 or newer is needed",
                                .names = names,
                                .table = &tsh_curl,
                                .then = begin,
                                .lock = PTHREAD_MUTEX_INITIALIZER};

  return tsh_library__load(&library, err);
}
