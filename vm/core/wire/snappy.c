/* Loading libsnappy. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define TSH_SNAPPY_LOADER
#include "snappy.h"

tsh_wire__snappy tsh_snappy;

static char why[256];

static void load(void) {
  void *library = dlopen("libsnappy.so.1", RTLD_NOW | RTLD_LOCAL);
  void *symbol;

  if (library == NULL) {
    snprintf(why, sizeof why, "%s", dlerror());
    return;
  }
#define X(name)                                                                \
  symbol = dlsym(library, #name);                                              \
  if (symbol == NULL)                                                          \
    snprintf(why, sizeof why, "it has no %s", #name);                          \
  memcpy(&tsh_snappy.name, &symbol, sizeof symbol);
  TSH_SNAPPY_FUNCTIONS(X)
#undef X
}

int tsh_wire__load_snappy(tsh_err *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once(&once, load);
  return why[0] == '\0' ? 0
                        : tsh_err_set(err, TSH_NOT_FOUND, "batch", 0,
                                      "libsnappy cannot be used: %s", why);
}
