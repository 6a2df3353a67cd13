/* JSON: exact integers, sorted keys, and where the text is wrong. */
#include "check.h"

#include <string.h>

#include "core/json.h"

static void check_round(const char *text, const char *want) {
  json_t *tree = NULL;
  tsh_buf out;
  tsh_err err;

  tsh_buf_init(&out, 1 << 16);
  assert_int_equal(tsh_json_read(&tree, text, strlen(text), &err), 0);
  assert_int_equal(tsh_json_write(tree, 0, &out, &err), 0);
  assert_string_equal(tsh_buf_text(&out), want);
  json_decref(tree);
  tsh_buf_fini(&out);
}

static void what_is_read_is_written_again(void **state) {
  (void)state;
  check_round("{\"b\": 1, \"a\": [true, null]}", "{\"a\":[true,null],\"b\":1}");
  check_round("9223372036854775807", "9223372036854775807");
  check_round("-9223372036854775808", "-9223372036854775808");
  check_round("9007199254740993", "9007199254740993");
  check_round("0.1", "0.10000000000000001");
  check_round("\"\\u00e9\"", "\"\xc3\xa9\"");
}

static void check_refused(const char *text, const char *place) {
  json_t *tree = NULL;
  tsh_err err;

  assert_int_equal(tsh_json_read(&tree, text, strlen(text), &err),
                   TSH_PROTOCOL);
  assert_null(tree);
  assert_string_equal(err.origin, "json");
  assert_memory_equal(err.message, place, strlen(place));
}

static void wrong_text_is_refused_with_its_place(void **state) {
  (void)state;
  check_refused("{\"a\":\n 1,}", "2:");
  check_refused("", "1:");
  check_refused("{\"a\":1,\"a\":2}", "1:");
  check_refused("99999999999999999999", "1:");
  check_refused("\"\xff\"", "1:");
  check_refused("[1] x", "1:");
}

static void a_bound_is_kept(void **state) {
  json_t *tree = json_pack("{s:s}", "key", "a value of some length");
  tsh_buf out;
  tsh_err err;

  (void)state;
  tsh_buf_init(&out, 8);
  assert_int_equal(tsh_json_write(tree, 0, &out, &err), TSH_LIMIT);
  json_decref(tree);
  tsh_buf_fini(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_read_is_written_again),
      cmocka_unit_test(wrong_text_is_refused_with_its_place),
      cmocka_unit_test(a_bound_is_kept),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
