/* YAML as kubectl reads it, and what it refuses. */
#include "check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/yaml_tree.h"

static void expect(const char *yaml, const char *json) {
  tsh_yaml read;
  tsh_buf text;
  tsh_err err = {0};

  if (tsh_yaml_read(&read, yaml, strlen(yaml), 0, &err) != 0)
    fail_msg("%s: %s", yaml, err.message);
  tsh_buf_init(&text, 1 << 20);
  assert_int_equal(
      tsh_json_write(json_array_get(read.documents, 0), 0, &text, &err), 0);
  assert_string_equal(tsh_buf_text(&text), json);
  tsh_buf_fini(&text);
  tsh_yaml_fini(&read);
}

static void expect_error(const char *yaml, tsh_kind kind, const char *part) {
  tsh_yaml read;
  tsh_err err = {0};

  assert_int_equal(tsh_yaml_read(&read, yaml, strlen(yaml), 0, &err), kind);
  if (strstr(err.message, part) == NULL)
    fail_msg("'%s' does not say '%s'", err.message, part);
}

static void test_scalars(void **state) {
  (void)state;
  expect("[1, -2, 0644, 0o17, 0x1F, 0b101, 1_000, +3]",
         "[1,-2,420,15,31,5,1000,3]");
  expect("[1.5, -2e3, .5, 1., 1e400x, 1.2.3]",
         "[1.5,-2000.0,0.5,1.0,\"1e400x\",\"1.2.3\"]");
  expect("[yes, No, on, OFF, true, False, y, n]",
         "[true,false,true,false,true,false,true,false]");
  expect("[~, null, '', \"null\", 'yes', \"12\"]",
         "[null,null,\"\",\"null\",\"yes\",\"12\"]");
  expect("[2026-11-25, 089, 9223372036854775807, 1:30]",
         "[\"2026-11-25\",89.0,9223372036854775807,\"1:30\"]");
  expect("!!str 12", "\"12\"");
}

static void test_structures(void **state) {
  (void)state;
  expect(
      "a: &x {b: 1, c: 2}\nd: *x\ne: {<<: *x, c: 3}\n",
      "{\"a\":{\"b\":1,\"c\":2},\"d\":{\"b\":1,\"c\":2},\"e\":{\"b\":1,\"c\":3}}");
  expect("a: &x {b: 1}\nb: &y {c: 2}\nm: {<<: [*x, *y], d: 3}\n",
         "{\"a\":{\"b\":1},\"b\":{\"c\":2},\"m\":{\"b\":1,\"c\":2,\"d\":3}}");
  expect("a: |\n  one\n  two\nb: >-\n  one\n  two\n",
         "{\"a\":\"one\\ntwo\\n\",\"b\":\"one two\"}");
  expect("{\"json\": [true, {\"is\": \"yaml\"}]}",
         "{\"json\":[true,{\"is\":\"yaml\"}]}");
}

static void test_documents(void **state) {
  static const char text[] = "---\n---\na: 1\n---\n# nothing\n---\nb: 2\n...\n";
  tsh_yaml read;
  tsh_err err;

  (void)state;
  assert_int_equal(tsh_yaml_read(&read, text, strlen(text), 0, &err), 0);
  assert_int_equal(json_array_size(read.documents), 2);
  tsh_yaml_fini(&read);
}

static void test_refused(void **state) {
  (void)state;
  expect_error("a: 1\nb: [2\n", TSH_PROTOCOL, "3:1");
  expect_error("a: 1\na: 2\n", TSH_PROTOCOL, "2:1: 'a' stands twice");
  expect_error("a: *none\n", TSH_PROTOCOL, "1:4: an alias without its anchor");
  expect_error("a: &a [*a]\n", TSH_PROTOCOL, "an alias without its anchor");
  expect_error("[a]: 1\n", TSH_PROTOCOL, "a key that is no text");
  expect_error("a: .inf\n", TSH_PROTOCOL, "cannot be said in JSON");
  expect_error("a: !thing 1\n", TSH_PROTOCOL, "a tag that has no meaning");
  expect_error("a: {<<: 1}\n", TSH_PROTOCOL, "only mappings");
  expect_error("a:\tb\n\tc: d\n", TSH_PROTOCOL, "2:");
}

static void test_bounds(void **state) {
  char text[4096] = "a0: &a0 [x]\n", line[256];
  tsh_buf deep;

  (void)state;
  for (int i = 1; i < 9; i++) { /* ten to the eighth */
    snprintf(line, sizeof line,
             "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n",
             i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1,
             i - 1, i - 1);
    strncat(text, line, sizeof text - strlen(text) - 1);
  }
  expect_error(text, TSH_LIMIT, "aliases unfolded");
  tsh_buf_init(&deep, 1 << 20);
  for (int i = 0; i < 1000; i++)
    tsh_buf_add_string(&deep, "[");
  expect_error(tsh_buf_text(&deep), TSH_PROTOCOL, "nested too deeply");
  tsh_buf_fini(&deep);
}

static void test_places(void **state) {
  static const char text[] = "a: yes\nb:\n  - c: 1\n    d: 2\n";
  tsh_yaml read;
  tsh_err err;
  json_t *root, *item;

  (void)state;
  assert_int_equal(
      tsh_yaml_read(&read, text, strlen(text), TSH_YAML_TEXT, &err), 0);
  root = json_array_get(read.documents, 0);
  item = json_array_get(json_object_get(root, "b"), 0);
  assert_string_equal(json_string_value(json_object_get(root, "a")), "yes");
  assert_int_equal(tsh_yaml_line(&read, root, "a"), 1);
  assert_int_equal(tsh_yaml_line(&read, item, "d"), 4);
  assert_int_equal(tsh_yaml_line(&read, item, "none"), 3);
  assert_int_equal(tsh_yaml_line(&read, NULL, "d"), 0);
  tsh_yaml_fini(&read);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_scalars),   cmocka_unit_test(test_structures),
      cmocka_unit_test(test_documents), cmocka_unit_test(test_refused),
      cmocka_unit_test(test_bounds),    cmocka_unit_test(test_places),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
