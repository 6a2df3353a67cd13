/* Plain data: trees, lookups, and what a failed allocation leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tranship/data.h"

static void builds_and_reads(void **state) {
  tsh_pool *pool = tsh_pool_new();
  tsh_data *root = tsh_data_table(pool);
  tsh_data *list = tsh_data_add_table(pool, root, "list");

  (void)state;
  tsh_data_add_number(pool, root, "big", INT64_C(9007199254740993));
  tsh_data_add_flag(pool, root, "flag", true);
  tsh_data_add_text(pool, root, "text", "hello");
  tsh_data_add_text(pool, root, "absent", NULL);
  tsh_data_add_bytes(pool, root, "bytes", "a\0b", 3);
  tsh_data_add_number(pool, list, NULL, 1);
  tsh_data_add_none(pool, list);
  tsh_data_add_number(pool, list, NULL, 3);

  assert_int_equal(tsh_data_number(root, "big", 0), INT64_C(9007199254740993));
  assert_true(tsh_data_flag(root, "flag", false));
  assert_string_equal(tsh_data_text(root, "text", ""), "hello");
  assert_null(tsh_data_get(root, "absent"));
  assert_int_equal(tsh_data_get(root, "bytes")->as.text.length, 3);
  assert_int_equal(tsh_data_count(list), 3);
  assert_int_equal(tsh_data_at(list, 2)->kind, TSH_DATA_NONE);
  assert_int_equal(tsh_data_at(list, 3)->as.number, 3);
  assert_null(tsh_data_at(list, 4));
  assert_int_equal(tsh_data_count(root), 0); /* named fields are no items */
  assert_false(tsh_pool_failed(pool));
  tsh_pool_free(pool);
}

static void other_kinds_give_the_fallback(void **state) {
  tsh_pool *pool = tsh_pool_new();
  tsh_data *root = tsh_data_table(pool);

  (void)state;
  tsh_data_add_text(pool, root, "n", "5");
  assert_int_equal(tsh_data_number(root, "n", -1), -1);
  assert_true(tsh_data_flag(root, "n", true));
  assert_null(tsh_data_first(tsh_data_get(root, "n")));
  assert_int_equal(tsh_data_number(NULL, "n", 7), 7);
  tsh_pool_free(pool);
}

static void errors_are_copied(void **state) {
  tsh_pool *pool = tsh_pool_new();
  tsh_data *root = tsh_data_table(pool);
  tsh_err err = {0};

  (void)state;
  tsh_err_set(&err, TSH_DENIED, "kafka", 29, "no");
  tsh_data_add_err(pool, root, "err", &err);
  memset(&err, 0, sizeof err);
  assert_int_equal(tsh_data_get(root, "err")->as.err->code, 29);
  assert_string_equal(tsh_data_get(root, "err")->as.err->message, "no");
  tsh_pool_free(pool);
}

static void large_and_many(void **state) {
  tsh_pool *pool = tsh_pool_new();
  tsh_data *root = tsh_data_table(pool);
  char *large = tsh_pool_alloc(pool, 3 << 20);

  (void)state;
  memset(large, 'x', 3 << 20);
  for (int i = 0; i < 100000; i++)
    tsh_data_add_number(pool, root, NULL, i);
  assert_int_equal(tsh_data_count(root), 100000);
  assert_int_equal((uintptr_t)tsh_pool_alloc(pool, 1) % sizeof(max_align_t) %
                       _Alignof(max_align_t),
                   0);
  tsh_pool_free(pool);
}

/* A failed allocation is asked for once, at the end. */
static void a_failure_is_remembered(void **state) {
  tsh_pool *pool = tsh_pool_new();
  tsh_data *root = tsh_data_table(pool);

  (void)state;
  assert_null(tsh_pool_alloc(pool, SIZE_MAX / 4));
  assert_true(tsh_pool_failed(pool));
  tsh_data_add_number(pool, NULL, "x", 1); /* into what could not be made */
  assert_null(tsh_data_add_table(pool, NULL, "t"));
  tsh_data_add_number(pool, root, "still", 1);
  assert_int_equal(tsh_data_number(root, "still", 0), 1);
  tsh_pool_free(pool);
  assert_true(tsh_pool_failed(NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(builds_and_reads),
      cmocka_unit_test(other_kinds_give_the_fallback),
      cmocka_unit_test(errors_are_copied),
      cmocka_unit_test(large_and_many),
      cmocka_unit_test(a_failure_is_remembered),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
