/* Tokens from commands: what they print, how long it lives, how they fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "tranship/login.h"
#include "tranship/secret.h"

static int fetch(const char *script, tsh_secret **out, long long *life,
                 tsh_err *err) {
  char *command[] = {"/bin/sh", "-c", (char *)script, NULL};
  return tsh_token_fetch(command, NULL, out, life, err);
}

static void printed(void **state) {
  (void)state;
  tsh_secret *token;
  long long life;
  tsh_err err;
  assert_int_equal(
      fetch("echo ' opaque-token'; echo noise >&2", &token, &life, &err), 0);
  assert_int_equal(tsh_secret_length(token), 12);
  assert_memory_equal(tsh_secret_bytes(token), "opaque-token", 12);
  assert_true(life == -1);
  tsh_secret_free(token);
}

static void lives(void **state) {
  (void)state;
  char payload[128], script[512];
  unsigned char encoded[256];
  tsh_secret *token;
  long long life;
  tsh_err err;
  int size = snprintf(payload, sizeof payload,
                      "{\"sub\":\"alice\",\"exp\": %lld.5,\"iat\":1}",
                      (long long)time(NULL) + 100);
  EVP_EncodeBlock(encoded, (unsigned char *)payload, size);
  for (char *at = (char *)encoded; *at; at++)
    *at = *at == '+' ? '-' : *at == '/' ? '_' : *at == '=' ? '\0' : *at;
  snprintf(script, sizeof script, "echo e30.%s.", (char *)encoded);
  assert_int_equal(fetch(script, &token, &life, &err), 0);
  assert_in_range(life, 98000, 101000);
  tsh_secret_free(token);
  assert_int_equal(fetch("echo a.b.c", &token, &life, &err), 0);
  assert_true(life == -1);
  tsh_secret_free(token);
}

static void fails(const char *script, const char *words) {
  tsh_secret *token = NULL;
  long long life;
  tsh_err err;
  assert_int_equal(fetch(script, &token, &life, &err), TSH_AUTH);
  if (!strstr(err.message, words))
    fail_msg("%s", err.message);
  assert_null(token);
}

static void failures(void **state) {
  (void)state;
  tsh_err err;
  tsh_secret *token = NULL;
  long long life;
  char *missing[] = {"/no/such/command", NULL};
  atomic_bool abandoned;
  char *slow[] = {"sleep", "60", NULL};
  fails("echo half-a-token; echo 'no ticket' >&2; exit 3",
        "exit code 3: no ticket");
  fails("kill -9 $$", "signal 9");
  fails("exit 0", "printed nothing");
  assert_int_equal(tsh_token_fetch(missing, NULL, &token, &life, &err),
                   TSH_AUTH);
  assert_non_null(strstr(err.message, "/no/such/command"));
  atomic_init(&abandoned, true);
  time_t began = time(NULL);
  assert_int_equal(tsh_token_fetch(slow, &abandoned, &token, &life, &err),
                   TSH_AUTH);
  assert_true(time(NULL) - began < 15);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(printed),
                                     cmocka_unit_test(lives),
                                     cmocka_unit_test(failures)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
