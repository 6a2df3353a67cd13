/* SCRAM: the exchange of RFC 7677, the same with SHA-512 (figures made with
 * Python's hashlib), and brokers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/scram.h"

static const char nonce[] = "rOprNGfwEbeRWgbNEkqO";
static const char challenge[] =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

static void exchange(bool sha512, const char *proof, const char *signature) {
  tsh_scram scram;
  tsh_buf first, last;
  tsh_err err;
  char want[256], answer[256];
  tsh_buf_init(&first, SCRAM_LONGEST);
  tsh_buf_init(&last, SCRAM_LONGEST);
  assert_int_equal(tsh_scram_init(&scram, sha512, "user", nonce, &err), 0);
  tsh_scram_first(&scram, &first);
  assert_string_equal(tsh_buf_text(&first), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  assert_int_equal(tsh_scram_final(&scram, "pencil", 6, challenge,
                                   strlen(challenge), &last, &err),
                   0);
  snprintf(want, sizeof want,
           "c=biws,r=rOprNGfwEbeRWgbNEkqO%%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=%s",
           proof);
  assert_string_equal(tsh_buf_text(&last), want);
  snprintf(answer, sizeof answer, "v=%s", signature);
  assert_int_equal(tsh_scram_verify(&scram, answer, strlen(answer), &err), 0);
  answer[5] ^= 1;
  assert_int_equal(tsh_scram_verify(&scram, answer, strlen(answer), &err),
                   TSH_AUTH);
  assert_non_null(strstr(err.message, "does not know the password"));
  assert_int_equal(tsh_scram_verify(&scram, "v=", 2, &err), TSH_AUTH);
  assert_int_equal(tsh_scram_verify(&scram, "x", 1, &err), TSH_PROTOCOL);
  assert_int_equal(tsh_scram_verify(&scram, "e=other-error", 13, &err),
                   TSH_AUTH);
  assert_non_null(strstr(err.message, "other-error"));
  tsh_buf_fini(&first);
  tsh_buf_fini(&last);
  tsh_scram_fini(&scram);
}

static void vectors(void **state) {
  (void)state;
  exchange(false, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
           "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  exchange(true,
           "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wd"
           "p6dybEmDYXYTxwnYPJQ==",
           "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5Z"
           "xXnJq199RVG2rR7N7Zw==");
}

static void refuse(const char *message) {
  tsh_scram scram;
  tsh_buf out;
  tsh_err err;
  char *copy = strdup(message); /* ASAN sees a byte too far */
  tsh_buf_init(&out, SCRAM_LONGEST);
  assert_int_equal(tsh_scram_init(&scram, false, "user", nonce, &err), 0);
  if (tsh_scram_final(&scram, "pencil", 6, copy, strlen(message), &out, &err) !=
      TSH_PROTOCOL)
    fail_msg("taken: %s", message);
  assert_int_equal(out.length, 0);
  tsh_buf_fini(&out);
  tsh_scram_fini(&scram);
  free(copy);
}

static void lies(void **state) {
  (void)state;
  refuse("");
  refuse("r=");
  refuse("m=x,r=rOprNGfwEbeRWgbNEkqOab,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  refuse("r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  refuse("r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  refuse("r=rOprNGfwEbeRWgbNEkqOab,s=,i=4096");
  refuse("r=rOprNGfwEbeRWgbNEkqOab,s=W22,i=4096");
  refuse("r=rOprNGfwEbeRWgbNEkqOab,s=****,i=4096");
  refuse("r=rOprNGfwEbeRWgbNEkqOab,s=W22ZaJ0SNY7soEsUEjb6gQ==");
  refuse("r=rOprNGfwEbeRWgbNEkqOab,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095");
  refuse("r=rOprNGfwEbeRWgbNEkqOab,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1");
  refuse("r=rOprNGfwEbeRWgbNEkqOab,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=");
  refuse("r=rOprNGfwEbeRWgbNEkqOab,s=W22ZaJ0SNY7soEsUEjb6gQ==,"
         "i=99999999999999999999");
}

static void names(void **state) {
  (void)state;
  tsh_scram a, b;
  tsh_buf out;
  tsh_err err;
  tsh_buf_init(&out, SCRAM_LONGEST);
  assert_int_equal(tsh_scram_init(&a, true, "a,b=c", NULL, &err), 0);
  assert_int_equal(tsh_scram_init(&b, true, "a,b=c", NULL, &err), 0);
  assert_string_not_equal(a.nonce, b.nonce);
  assert_int_equal(strlen(a.nonce), 32);
  tsh_scram_first(&a, &out);
  assert_memory_equal(out.data, "n,,n=a=2Cb=3Dc,r=", 17);
  tsh_buf_fini(&out);
  tsh_scram_fini(&a);
  tsh_scram_fini(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(vectors),
                                     cmocka_unit_test(lies),
                                     cmocka_unit_test(names)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
