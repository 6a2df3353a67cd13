/* Secrets and the log: live bytes are blanked, also from several threads. */
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tranship/log.h"
#include "tranship/secret.h"

static tsh_secret *new_secret(const char *text) {
  tsh_secret *secret = NULL;
  tsh_err err;

  assert_int_equal(tsh_secret_new(&secret, strlen(text), &err), 0);
  memcpy(tsh_secret_bytes(secret), text, strlen(text));
  tsh_secret_publish(secret);
  return secret;
}

static void check_redact(const char *text, const char *want, size_t places) {
  tsh_buf out;

  tsh_buf_init(&out, 1000);
  assert_int_equal(tsh_secret_redact(text, strlen(text), &out), places);
  assert_string_equal(tsh_buf_text(&out), want);
  tsh_buf_fini(&out);
}

static void live_bytes_are_blanked(void **state) {
  tsh_secret *one = new_secret("hunter22"), *two = new_secret("hunter22more");

  (void)state;
  check_redact("a hunter22 b", "a <redacted> b", 1);
  check_redact("hunter22more", "<redacted>", 1);
  check_redact("hunter22hunter22", "<redacted><redacted>", 2);
  check_redact("hunter2", "hunter2", 0);
  check_redact("", "", 0);
  tsh_secret_free(two);
  check_redact("hunter22more", "<redacted>more", 1);
  tsh_secret_free(one);
  check_redact("hunter22", "hunter22", 0);
  tsh_secret_free(NULL);
}

static void short_ones_and_empty_ones_blank_nothing(void **state) {
  tsh_secret *empty = new_secret(""), *brief = new_secret("abc");

  (void)state;
  check_redact("abc", "abc", 0);
  tsh_secret_free(empty);
  tsh_secret_free(brief);
}

static void a_large_one_has_its_pages(void **state) {
  char text[20000];
  tsh_secret *secret;

  (void)state;
  memset(text, 'k', sizeof text);
  text[sizeof text - 1] = '\0';
  secret = new_secret(text);
  assert_int_equal(tsh_secret_length(secret), sizeof text - 1);
  assert_memory_equal(tsh_secret_bytes(secret), text, sizeof text - 1);
  tsh_secret_free(secret);
}

/* The log. */

typedef struct lines {
  char last[256];
  int count;
} lines;

static void take(tsh_level level, const char *line, void *user) {
  lines *l = user;

  l->count++;
  snprintf(l->last, sizeof l->last, "%s|%s", tsh_level_name(level), line);
}

static void log_lines_are_redacted_and_filtered(void **state) {
  lines l = {.count = 0};
  tsh_secret *secret = new_secret("hunter22");

  (void)state;
  tsh_log_set_sink(take, &l);
  tsh_log(TSH_INFO, "not shown");
  assert_int_equal(l.count, 0);
  tsh_log(TSH_ERROR, "with %s inside", "hunter22");
  assert_string_equal(l.last, "error|with <redacted> inside");
  tsh_log_set_level(TSH_DEBUG);
  tsh_log(TSH_DEBUG, "shown");
  assert_string_equal(l.last, "debug|shown");
  tsh_log_set_level(TSH_WARN);
  tsh_log_set_sink(NULL, NULL);
  tsh_secret_free(secret);
  assert_int_equal(tsh_level_find("warn"), TSH_WARN);
  assert_int_equal(tsh_level_find("loud"), -1);
}

static void *log_many(void *user) {
  (void)user;
  for (int i = 0; i < 500; i++) {
    tsh_secret *secret = new_secret("per-thread");

    tsh_log(TSH_WARN, "line per-thread %d", i);
    tsh_secret_free(secret);
  }
  return NULL;
}

static void several_threads_may_log(void **state) {
  lines l = {.count = 0};
  pthread_t threads[3];

  (void)state;
  tsh_log_set_sink(take, &l);
  for (int i = 0; i < 3; i++)
    pthread_create(&threads[i], NULL, log_many, NULL);
  for (int i = 0; i < 3; i++)
    pthread_join(threads[i], NULL);
  tsh_log_set_sink(NULL, NULL);
  assert_int_equal(l.count, 1500);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(live_bytes_are_blanked),
      cmocka_unit_test(short_ones_and_empty_ones_blank_nothing),
      cmocka_unit_test(a_large_one_has_its_pages),
      cmocka_unit_test(log_lines_are_redacted_and_filtered),
      cmocka_unit_test(several_threads_may_log),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
