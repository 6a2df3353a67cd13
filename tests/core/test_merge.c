/* Merging: every record keeps offset, timestamp and contents; what must not be
 * merged is not. */
#include "batch_make.h"

enum { BATCHES = 40, LIMIT = 1 << 20, ROOM = 500000 };

static uint32_t next(uint32_t *seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return *seed >> 8;
}

/* Nulls, empty values, headers, and times that jump in both directions. */
static made random_batch(int64_t base, uint32_t *seed) {
  static const uint8_t headers[] = {2, 'a', 1, 4, 'b', 'c', 0};
  static uint8_t bytes[3000];
  tsh_stamp stamp = {-1, -1, -1, false};
  tsh_builder builder;
  made batch;
  int count = 1 + (int)(next(seed) % 300);
  int64_t time = (int64_t)(next(seed) % 5) * 40000000 - 1;
  memset(bytes, 'x', sizeof bytes);
  tsh_builder_init(&builder);
  for (int i = 0; i < count; i++) {
    bytes[0] = (uint8_t)next(seed);
    tsh_record record = {.timestamp = time + (int64_t)(next(seed) % 20000),
                         .key = next(seed) % 3 ? bytes : NULL,
                         .value = next(seed) % 5 ? bytes : NULL};
    record.key_size = record.key ? next(seed) % 3 : 0;
    record.value_size = record.value ? next(seed) % 90 : 0;
    if (next(seed) % 50 == 0 && record.value)
      record.value_size = next(seed) % sizeof bytes;
    if (next(seed) % 4 == 0) {
      record.headers = headers;
      record.headers_size = sizeof headers;
      record.header_count = 2;
    }
    assert_int_equal(tsh_builder_add(&builder, &record, NULL), 0);
  }
  assert_int_equal(tsh_builder_finish(&builder, TSH_CODEC_NONE, &stamp,
                                      &batch.bytes, &batch.size, NULL),
                   0);
  tsh_builder_fini(&builder);
  big_endian(batch.bytes, (uint64_t)base, 8);
  return batch;
}

static void assert_bytes(const uint8_t *a, size_t a_size, const uint8_t *b,
                         size_t b_size) {
  assert_true((a == NULL) == (b == NULL) && a_size == b_size);
  if (a_size > 0)
    assert_memory_equal(a, b, a_size);
}

static void check_merged(const tsh_batch *list, size_t count,
                         const tsh_batch *merged) {
  tsh_records from, to;
  tsh_record a, b;
  int64_t newest = INT64_MIN;
  tsh_records_init(&from);
  tsh_records_init(&to);
  assert_int_equal(tsh_batch_check(merged, NULL), 0);
  assert_true(tsh_batch_is_forwardable(merged));
  assert_true(merged->base_offset == list[0].base_offset);
  assert_true(tsh_batch_next_offset(merged) ==
              tsh_batch_next_offset(&list[count - 1]));
  assert_int_equal(tsh_records_open(&to, merged, LIMIT, NULL), 0);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(tsh_records_open(&from, &list[i], LIMIT, NULL), 0);
    while (tsh_records_next(&from, &a, NULL) == 1) {
      assert_int_equal(tsh_records_next(&to, &b, NULL), 1);
      assert_true(a.offset == b.offset && a.timestamp == b.timestamp);
      assert_true(a.attributes == b.attributes);
      assert_true(a.header_count == b.header_count);
      assert_bytes(a.key, a.key_size, b.key, b.key_size);
      assert_bytes(a.value, a.value_size, b.value, b.value_size);
      assert_bytes(a.headers, a.headers_size, b.headers, b.headers_size);
      newest = a.timestamp > newest ? a.timestamp : newest;
    }
  }
  assert_int_equal(tsh_records_next(&to, &b, NULL), 0);
  assert_true(merged->max_timestamp == newest);
  tsh_records_fini(&from);
  tsh_records_fini(&to);
}

static void records_stay_what_they_are(void **state) {
  (void)state;
  for (uint32_t seed = 1; seed <= 30; seed++) {
    uint32_t random = seed;
    made made_ones[BATCHES], merged;
    tsh_batch list[BATCHES];
    int64_t base = (int64_t)seed * 9007199254740;
    for (int i = 0; i < BATCHES; i++) {
      made_ones[i] = random_batch(base, &random);
      list[i] = read_batch(made_ones[i]);
      base += list[i].count;
    }
    size_t limit = seed % 2 ? ROOM : 90000 + seed * 1000;
    size_t count =
        tsh_batch_merge(list, BATCHES, limit, &merged.bytes, &merged.size);
    assert_true(count >= 2 && merged.size <= limit);
    tsh_batch whole = read_batch(merged);
    check_merged(list, count, &whole);
    for (int i = 0; i < BATCHES; i++)
      free(made_ones[i].bytes);
    free(merged.bytes);
  }
}

/* Each of these, behind a plain batch of ten records from offset 0. */
static void some_stay_alone(void **state) {
  (void)state;
  static const int deltas[] = {0, 2};
  made first = make_batch(0, 10, TSH_CODEC_NONE);
  made others[] = {make_batch(10, 10, TSH_CODEC_NONE), /* this one merges */
                   make_batch(11, 10, TSH_CODEC_NONE),
                   make_batch(10, 10, TSH_CODEC_LZ4),
                   make_batch(10, 10, TSH_CODEC_NONE),
                   make_batch(10, 10, TSH_CODEC_NONE),
                   make_marker(10, 7, 1),
                   make_gapped(10, deltas, 2, 2),
                   make_gapped(10, deltas, 0, 2)};
  set_producer(others[3], 7, TSH_BATCH_TRANSACTIONAL);
  set_producer(others[4], -1, TSH_BATCH_APPEND_TIME);
  tsh_batch plain = read_batch(first);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    tsh_batch other = read_batch(others[i]);
    assert_int_equal(tsh_batch_merges(&plain, &other), i == 0);
    other.base_offset -= 20;
    assert_false(tsh_batch_merges(&other, &plain) && i > 0 && i != 1);
    free(others[i].bytes);
  }
  free(first.bytes);
}

static void broken_ones_are_left_behind(void **state) {
  (void)state;
  for (int broken = 0; broken < 4; broken++) {
    made ones[4], merged = {NULL, 0};
    tsh_batch list[4];
    for (int i = 0; i < 4; i++)
      ones[i] = make_batch(i * 10, 10, TSH_CODEC_NONE);
    made bad = ones[broken];
    if (broken % 2)
      bad.bytes[bad.size - 2] ^= 1; /* the CRC tells */
    else
      bad.bytes[TSH_BATCH_HEADER] += 2; /* the first length does */
    if (broken % 2 == 0)
      seal(bad);
    for (int i = 0; i < 4; i++)
      list[i] = read_batch(ones[i]);
    size_t count = tsh_batch_merge(list, 4, ROOM, &merged.bytes, &merged.size);
    assert_int_equal(count, broken >= 2 ? broken : 0);
    if (count > 0) {
      tsh_batch whole = read_batch(merged);
      check_merged(list, count, &whole);
    }
    free(merged.bytes);
    for (int i = 0; i < 4; i++)
      free(ones[i].bytes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(records_stay_what_they_are),
      cmocka_unit_test(some_stay_alone),
      cmocka_unit_test(broken_ones_are_left_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
