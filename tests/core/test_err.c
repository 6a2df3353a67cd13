/* Error values: kinds have names, texts are cut, errno finds its kind. */
#include "check.h"

#include <errno.h>
#include <string.h>

#include "tranship/err.h"

static void set_fills_every_field(void **state) {
  tsh_err err;

  (void)state;
  memset(&err, 0xff, sizeof err);
  assert_int_equal(tsh_err_set(&err, TSH_EXISTS, "kafka", 36, "topic %s", "x"),
                   TSH_EXISTS);
  assert_int_equal(err.kind, TSH_EXISTS);
  assert_string_equal(err.origin, "kafka");
  assert_int_equal(err.code, 36);
  assert_false(err.retriable);
  assert_false(err.fatal);
  assert_string_equal(err.message, "topic x");
}

static void nobody_has_to_ask_why(void **state) {
  (void)state;
  assert_int_equal(tsh_err_set(NULL, TSH_IO, "sys", 0, "x"), TSH_IO);
  assert_int_equal(tsh_err_errno(NULL, ENOENT, "x"), TSH_NOT_FOUND);
}

static void a_long_text_is_cut(void **state) {
  char text[2000];
  tsh_err err;

  (void)state;
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  tsh_err_set(&err, TSH_IO, "sys", 0, "%s", text);
  assert_int_equal(strlen(err.message), sizeof err.message - 1);
  tsh_err_errno(&err, EIO, "%s", text);
  assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

static void errno_finds_its_kind(void **state) {
  static const struct {
    int errnum;
    tsh_kind kind;
    bool retriable;
  } rows[] = {
      {ENOENT, TSH_NOT_FOUND, false},
      {EEXIST, TSH_EXISTS, false},
      {EACCES, TSH_DENIED, false},
      {EAGAIN, TSH_CONFLICT, false},
      {ETIMEDOUT, TSH_TIMEOUT, true},
      {ENOMEM, TSH_NO_MEMORY, false},
      {ECONNREFUSED, TSH_UNAVAILABLE, true},
      {EPIPE, TSH_CLOSED, false},
      {ENOSPC, TSH_IO, false},
  };
  tsh_err err;

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    tsh_err_errno(&err, rows[i].errnum, "open %s", "f");
    assert_int_equal(err.kind, rows[i].kind);
    assert_int_equal(err.retriable, rows[i].retriable);
    assert_int_equal(err.code, rows[i].errnum);
    assert_memory_equal(err.message, "open f: ", 8);
  }
}

static void every_kind_has_a_name(void **state) {
  (void)state;
  for (int kind = TSH_OK; kind >= TSH_UNAVAILABLE; kind--)
    assert_string_not_equal(tsh_kind_name((tsh_kind)kind), "unknown kind");
  assert_string_equal(tsh_kind_name(TSH_TIMEOUT), "timeout");
  assert_string_equal(tsh_kind_name(TSH_UNAVAILABLE), "unavailable");
  assert_string_equal(tsh_kind_name((tsh_kind)(TSH_UNAVAILABLE - 1)),
                      "unknown kind");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(set_fills_every_field),
      cmocka_unit_test(nobody_has_to_ask_why),
      cmocka_unit_test(a_long_text_is_cut),
      cmocka_unit_test(errno_finds_its_kind),
      cmocka_unit_test(every_kind_has_a_name),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
