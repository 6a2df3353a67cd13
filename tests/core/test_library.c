/* Shared libraries that are loaded when they are needed. */
#include "check.h"

#include <string.h>

#include "core/library.h"

static int begun;

static void begin(void) { begun++; }

static tsh_library of(const char *file, const char *const *names, void *table) {
  return (tsh_library){.file = file,
                       .called = "libtest",
                       .origin = "test",
                       .needed = "; a newer one has",
                       .names = names,
                       .table = table,
                       .then = begin,
                       .lock = PTHREAD_MUTEX_INITIALIZER};
}

static void functions_are_there_afterwards(void **state) {
  (void)state;
  static const char *const names[] = {"crc32", "adler32", NULL};
  struct {
    unsigned long (*crc32)(unsigned long, const unsigned char *, unsigned);
    unsigned long (*adler32)(unsigned long, const unsigned char *, unsigned);
  } table;
  tsh_library library = of("libz.so.1", names, &table);
  tsh_err err = {0};
  begun = 0;
  for (int i = 0; i < 2; i++)
    assert_int_equal(tsh_library__load(&library, &err), 0);
  assert_int_equal(begun, 1);
  assert_int_equal(table.crc32(0, (const unsigned char *)"123456789", 9),
                   0xcbf43926);
  assert_int_equal(table.adler32(1, (const unsigned char *)"a", 1), 0x00620062);
}

static void what_cannot_be_loaded_is_told_every_time(void **state) {
  (void)state;
  static const char *const names[] = {"crc32", "no_such_function", NULL};
  void *table[2] = {NULL, NULL};
  tsh_library old = of("libz.so.1", names, table);
  tsh_library gone = of("libnowhere.so.7", names, table);
  tsh_err err;
  begun = 0;
  for (int i = 0; i < 2; i++) {
    memset(&err, 0, sizeof err);
    assert_int_equal(tsh_library__load(&old, &err), TSH_NOT_FOUND);
    assert_string_equal(err.message, "libtest cannot be used: it has no "
                                     "no_such_function; a newer one has");
    assert_string_equal(err.origin, "test");
    assert_int_equal(tsh_library__load(&gone, &err), TSH_NOT_FOUND);
    assert_non_null(strstr(err.message, "libnowhere.so.7"));
  }
  assert_int_equal(tsh_library__load(&gone, NULL), TSH_NOT_FOUND);
  assert_int_equal(begun, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(functions_are_there_afterwards),
      cmocka_unit_test(what_cannot_be_loaded_is_told_every_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
