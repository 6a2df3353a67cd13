/* Loading libsnappy. */
#define TSH_SNAPPY_LOADER
#include "snappy.h"

#include <stddef.h>

#include "../library.h"

tsh_wire__snappy tsh_snappy;

#define X(name) #name,
static const char *const names[] = {TSH_SNAPPY_FUNCTIONS(X) NULL};
#undef X

int tsh_wire__load_snappy(tsh_err *err) {
  static tsh_library library = {.file = "libsnappy.so.1",
                                .called = "libsnappy",
                                .origin = "batch",
                                .needed = "",
                                .names = names,
                                .table = &tsh_snappy,
                                .lock = PTHREAD_MUTEX_INITIALIZER};

  return tsh_library__load(&library, err);
}
