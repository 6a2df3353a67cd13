/* The limit on bytes per second, on a clock that the test moves. */
#include "batch_make.h"

#include "core/mirror/mirror_int.h"

enum { SECOND = 1000000 };

static void nothing_set_is_no_limit(void **state) {
  (void)state;
  token_bucket bucket;
  uint64_t wait = 7;
  tsh_bucket_init(&bucket, 0, 0);
  tsh_bucket_spend(&bucket, 1 << 30);
  assert_true(tsh_bucket_allows(&bucket, 1, &wait) == SIZE_MAX && wait == 7);
}

/* Whatever fetches bring, over any stretch no more than the rate and what a
 * full bucket and one fetch may add; and not much less either. */
static void the_rate_is_kept(void **state) {
  (void)state;
  static const int64_t rates[] = {65536, 100003, 20 << 20, INT64_C(5) << 30};
  for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
    token_bucket bucket;
    int64_t rate = rates[i], now = 12345, spent = 0, longest = 0;
    uint32_t seed = 1;
    tsh_bucket_init(&bucket, rate, now);
    while (now < 12345 + 20 * SECOND) {
      uint64_t wait = 0;
      size_t allowed = tsh_bucket_allows(&bucket, now, &wait);
      seed = seed * 1664525u + 1013904223u;
      if (allowed > 0) {
        size_t came = seed % 3 == 0 ? allowed : allowed / 5;
        tsh_bucket_spend(&bucket, came);
        spent += (int64_t)came;
        now += seed >> 24;
      } else {
        assert_true(wait > 0);
        longest = (int64_t)wait > longest ? (int64_t)wait : longest;
        now += (int64_t)wait * 1000;
      }
      int64_t due = (int64_t)((double)(now - 12345) / SECOND * (double)rate);
      assert_true(spent <= due + rate / 5 + 2 * 65536);
    }
    assert_true(spent >= 19 * rate);
    assert_true(longest <= 1001); /* smooth: a 64 KiB debt at 64 KiB/s */
  }
}

static void a_debt_is_waited_off(void **state) {
  (void)state;
  token_bucket bucket;
  uint64_t wait = 0;
  tsh_bucket_init(&bucket, 1000000, 0);
  tsh_bucket_spend(&bucket, 100000 + 500000);
  assert_true(tsh_bucket_allows(&bucket, 0, &wait) == 0);
  assert_true(wait >= 500 && wait <= 502);
  assert_true(tsh_bucket_allows(&bucket, 499000, &wait) == 0);
  assert_true(tsh_bucket_allows(&bucket, (int64_t)501000, &wait) > 0);
  /* A long rest fills it once, not more. */
  assert_true(tsh_bucket_allows(&bucket, INT64_C(86400) * SECOND, &wait) ==
              100000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_set_is_no_limit),
      cmocka_unit_test(the_rate_is_kept),
      cmocka_unit_test(a_debt_is_waited_off),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
