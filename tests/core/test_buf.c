/* Buffers: they grow, end in a zero, keep their bound, remember failure. */
#include "check.h"

#include <string.h>

#include "tranship/buf.h"

static void empty_is_a_string(void **state) {
  tsh_buf buf;

  (void)state;
  tsh_buf_init(&buf, 10);
  assert_string_equal(tsh_buf_text(&buf), "");
  tsh_buf_add(&buf, NULL, 0);
  assert_int_equal(buf.length, 0);
  tsh_buf_fini(&buf);
}

static void it_grows_and_keeps_all_bytes(void **state) {
  tsh_buf buf;

  (void)state;
  tsh_buf_init(&buf, 1 << 20);
  for (int i = 0; i < 10000; i++)
    tsh_buf_format(&buf, "%d,", i);
  tsh_buf_add(&buf, "a\0b", 3);
  assert_false(buf.failed);
  assert_int_equal(buf.length, 48890 + 3);
  assert_memory_equal(buf.data, "0,1,2,", 6);
  assert_memory_equal(buf.data + buf.length - 3, "a\0b", 4);
  tsh_buf_fini(&buf);
}

static void the_bound_holds_and_failure_stays(void **state) {
  tsh_buf buf;

  (void)state;
  tsh_buf_init(&buf, 5);
  tsh_buf_add_string(&buf, "12345");
  assert_false(buf.failed);
  tsh_buf_add_string(&buf, "6");
  assert_true(buf.failed);
  assert_string_equal(tsh_buf_text(&buf), "12345");
  tsh_buf_consume(&buf, 5);
  tsh_buf_add_string(&buf, "7");
  assert_int_equal(buf.length, 0);
  tsh_buf_fini(&buf);
  tsh_buf_add_string(&buf, "8");
  assert_string_equal(tsh_buf_text(&buf), "8");
  tsh_buf_fini(&buf);
}

static void a_huge_length_does_not_wrap(void **state) {
  tsh_buf buf;

  (void)state;
  tsh_buf_init(&buf, 100);
  tsh_buf_add_string(&buf, "x");
  assert_null(tsh_buf_reserve(&buf, SIZE_MAX));
  assert_true(buf.failed);
  tsh_buf_fini(&buf);
}

static void consuming_takes_from_the_front(void **state) {
  tsh_buf buf;

  (void)state;
  tsh_buf_init(&buf, 100);
  tsh_buf_add_string(&buf, "hello world");
  tsh_buf_consume(&buf, 6);
  assert_string_equal(tsh_buf_text(&buf), "world");
  tsh_buf_consume(&buf, 99);
  assert_string_equal(tsh_buf_text(&buf), "");
  tsh_buf_fini(&buf);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(empty_is_a_string),
      cmocka_unit_test(it_grows_and_keeps_all_bytes),
      cmocka_unit_test(the_bound_holds_and_failure_stays),
      cmocka_unit_test(a_huge_length_does_not_wrap),
      cmocka_unit_test(consuming_takes_from_the_front),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
