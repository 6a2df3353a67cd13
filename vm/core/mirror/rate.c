/* A limit on bytes fetched per second, for all workers together: a bucket
 * that fills steadily and is emptied by what fetches brought. Nobody knows in
 * advance what a fetch will bring, so it may leave a debt, which is waited
 * off; fetches are kept small enough that it is a short one. */
#include <time.h>

#include "mirror_int.h"

enum {
  FULL_MS = 100,          /* what the bucket holds: so much time's worth */
  LEAST_FETCH = 64 << 10, /* bytes worth a request */
  US = 1000000
};

static int64_t full(const token_bucket *bucket) {
  int64_t most = bucket->rate * FULL_MS / 1000;
  return most > LEAST_FETCH ? most : LEAST_FETCH;
}

void tsh_bucket_init(token_bucket *bucket, int64_t rate, int64_t now_us) {
  bucket->rate = rate;
  bucket->filled_us = now_us;
  bucket->bytes = full(bucket);
}

/* Time that brought no whole byte is left for the next filling. */
static void fill(token_bucket *bucket, int64_t now_us) {
  int64_t most = full(bucket), lacking = most - bucket->bytes;
  int64_t passed = now_us - bucket->filled_us;
  if (passed / US > lacking / bucket->rate) {
    bucket->bytes = most;
    bucket->filled_us = now_us;
    return;
  }
  int64_t came = passed * bucket->rate / US;
  bucket->bytes = came < lacking ? bucket->bytes + came : most;
  bucket->filled_us += (came * US + bucket->rate - 1) / bucket->rate;
}

size_t tsh_bucket_allows(token_bucket *bucket, int64_t now_us,
                         uint64_t *wait_ms) {
  if (bucket->rate == 0)
    return SIZE_MAX;
  fill(bucket, now_us);
  if (bucket->bytes > 0)
    return (size_t)(bucket->bytes > LEAST_FETCH ? bucket->bytes : LEAST_FETCH);
  *wait_ms = (uint64_t)(-bucket->bytes * 1000 / bucket->rate) + 1;
  return 0;
}

void tsh_bucket_spend(token_bucket *bucket, size_t bytes) {
  if (bucket->rate > 0)
    bucket->bytes -= (int64_t)bytes;
}

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * US + now.tv_nsec / 1000;
}

void tsh_mirror__limit_rate(shared *shared, int64_t rate) {
  tsh_bucket_init(&shared->bucket, rate, now_us());
}

static void waited(void *user) {
  tsh_mirror *mirror = user;
  tsh_mirror__rate_stop(mirror);
  tsh_mirror__pump_sources(mirror);
}

void tsh_mirror__rate_stop(tsh_mirror *mirror) {
  if (mirror->pause != NULL)
    tsh_timer_stop(mirror->pause);
  mirror->pause = NULL;
}

size_t tsh_mirror__allowed(tsh_mirror *mirror) {
  shared *shared = mirror->shared;
  uint64_t wait_ms = 0;
  pthread_mutex_lock(&shared->lock);
  size_t bytes = tsh_bucket_allows(&shared->bucket, now_us(), &wait_ms);
  pthread_mutex_unlock(&shared->lock);
  if (bytes == 0 && mirror->pause == NULL)
    mirror->pause = tsh_timer_start(mirror->loop, wait_ms, waited, mirror);
  return bytes;
}

void tsh_mirror__fetched(tsh_mirror *mirror, size_t bytes) {
  pthread_mutex_lock(&mirror->shared->lock);
  tsh_bucket_spend(&mirror->shared->bucket, bytes);
  pthread_mutex_unlock(&mirror->shared->lock);
}
