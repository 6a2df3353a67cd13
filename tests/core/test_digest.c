/* Digests: what must not change a hash (codec, batch boundaries, compaction)
 * and what must (each single byte, order, null against empty). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../vm/core/digest_fold.h"

enum { MANY = 1000 };

typedef struct rec {
  const char *key, *value; /* NULL: null */
  int64_t timestamp;
  uint8_t header; /* value of its one header; 0: no header */
} rec;

typedef struct batch {
  uint8_t *bytes;
  size_t size;
} batch;

static batch build(const rec *recs, int count, int64_t base, tsh_codec codec) {
  tsh_builder builder;
  batch b;
  const tsh_stamp stamp = {-1, -1, -1, false};
  tsh_builder_init(&builder);
  for (int i = 0; i < count; i++) {
    uint8_t header[] = {2, 'h', 2, recs[i].header};
    tsh_record r = {.timestamp = recs[i].timestamp,
                    .key = (const uint8_t *)recs[i].key,
                    .key_size = recs[i].key ? strlen(recs[i].key) : 0,
                    .value = (const uint8_t *)recs[i].value,
                    .value_size = recs[i].value ? strlen(recs[i].value) : 0};
    if (recs[i].header) {
      r.headers = header;
      r.headers_size = sizeof header;
      r.header_count = 1;
    }
    assert_int_equal(tsh_builder_add(&builder, &r, NULL), 0);
  }
  assert_int_equal(
      tsh_builder_finish(&builder, codec, &stamp, &b.bytes, &b.size, NULL), 0);
  for (int i = 0; i < 8; i++)
    b.bytes[i] = (uint8_t)(base >> (56 - 8 * i));
  tsh_builder_fini(&builder);
  return b;
}

/* Folds `count` records in batches of `step`. */
static tsh_digest fold(const rec *recs, int count, int step, tsh_codec codec,
                       tsh_digest_spec spec, int64_t base) {
  tsh_fold f;
  tsh_digest out = {0};
  if (!spec.chunk)
    spec.chunk = INT32_MAX;
  if (!spec.to)
    spec.to = INT64_MAX;
  assert_int_equal(tsh_fold_init(&f, &spec, NULL), 0);
  for (int i = 0; i < count; i += step) {
    int n = count - i < step ? count - i : step;
    batch b = build(recs + i, n, base + i, codec);
    tsh_batch head;
    tsh_err err;
    assert_int_equal(tsh_batch_read(&head, b.bytes, b.size, NULL), 1);
    if (tsh_fold_add(&f, &head, &err) != 0)
      fail_msg("%s", err.message);
    free(b.bytes);
  }
  assert_int_equal(tsh_fold_finish(&f, spec.bucket, &out, NULL), 0);
  tsh_fold_fini(&f);
  return out;
}

static void drop(tsh_digest *d) {
  free(d->chunks);
  free(d->keys);
}

static uint64_t hash_of(const rec *recs, int count, int step, tsh_codec codec,
                        tsh_digest_spec spec, int64_t base) {
  tsh_digest d = fold(recs, count, step, codec, spec, base);
  assert_int_equal(d.count, 1);
  uint64_t hash = d.chunks[0].hash;
  drop(&d);
  return hash;
}

static rec *make_many(void) {
  static char keys[MANY][16], values[MANY][32];
  static rec recs[MANY];
  for (int i = 0; i < MANY; i++) {
    snprintf(keys[i], sizeof keys[i], "k%d", i % 97);
    snprintf(values[i], sizeof values[i], "value %d", i);
    recs[i] = (rec){i % 7 ? keys[i] : NULL, i % 11 ? values[i] : NULL, 1000 + i,
                    (uint8_t)(i % 3)};
  }
  return recs;
}

static const tsh_digest_spec by_record = {.mode = TSH_DIGEST_RECORDS,
                                          .bucket = -1};
static const tsh_digest_spec by_batch = {.mode = TSH_DIGEST_BATCHES,
                                         .bucket = -1};
static const tsh_digest_spec by_key = {
    .mode = TSH_DIGEST_COMPACTED, .chunk = 1, .bucket = -1};

static void packing_is_nothing(void **state) {
  (void)state;
  rec *recs = make_many();
  uint64_t first = hash_of(recs, MANY, MANY, TSH_CODEC_NONE, by_record, 0);
  for (tsh_codec codec = TSH_CODEC_NONE; codec <= TSH_CODEC_ZSTD; codec++)
    for (int step = 1; step <= MANY; step = step * 5 + 1)
      assert_int_equal(hash_of(recs, MANY, step, codec, by_record, step),
                       first);
}

/* Every kind of difference, planted into otherwise equal records. */
static void each_difference(void **state) {
  (void)state;
  const rec plain[] = {{"a", "x", 5, 1}, {"b", "y", 6, 0}, {"", "", 7, 0}};
  const rec variants[][3] = {
      {{"A", "x", 5, 1}, {"b", "y", 6, 0}, {"", "", 7, 0}},
      {{"a", "X", 5, 1}, {"b", "y", 6, 0}, {"", "", 7, 0}},
      {{"a", "x", 4, 1}, {"b", "y", 6, 0}, {"", "", 7, 0}},
      {{"a", "x", 5, 2}, {"b", "y", 6, 0}, {"", "", 7, 0}},
      {{"a", "x", 5, 0}, {"b", "y", 6, 0}, {"", "", 7, 0}},
      {{"b", "y", 6, 0}, {"a", "x", 5, 1}, {"", "", 7, 0}}, /* swapped */
      {{"a", "x", 5, 1}, {"b", "y", 6, 0}, {NULL, "", 7, 0}},
      {{"a", "x", 5, 1}, {"b", "y", 6, 0}, {"", NULL, 7, 0}},
      {{"ax", "", 5, 1}, {"b", "y", 6, 0}, {"", "", 7, 0}}, /* moved over */
      {{"a", "x", 5, 1}, {"by", "", 6, 0}, {"", "", 7, 0}}};
  enum { VARIANTS = sizeof variants / sizeof *variants };
  uint64_t first = hash_of(plain, 3, 3, TSH_CODEC_NONE, by_record, 0);
  uint64_t whole = hash_of(plain, 3, 3, TSH_CODEC_NONE, by_batch, 0);
  assert_true(first != hash_of(plain, 2, 2, TSH_CODEC_NONE, by_record, 0));
  for (int i = 0; i < VARIANTS; i++) {
    assert_true(hash_of(variants[i], 3, 3, TSH_CODEC_NONE, by_record, 0) !=
                first);
    assert_true(hash_of(variants[i], 3, 3, TSH_CODEC_NONE, by_batch, 0) !=
                whole);
  }
}

static void offsets_when_asked(void **state) {
  (void)state;
  rec *recs = make_many();
  const tsh_digest_spec kinds[] = {by_record, by_batch, by_key};
  for (int i = 0; i < 3; i++) {
    tsh_digest_spec spec = kinds[i];
    uint64_t at_0 = hash_of(recs, 50, 50, TSH_CODEC_NONE, spec, 0);
    assert_int_equal(hash_of(recs, 50, 50, TSH_CODEC_NONE, spec, 9), at_0);
    spec.with_offsets = true;
    uint64_t with = hash_of(recs, 50, 50, TSH_CODEC_NONE, spec, 0);
    assert_int_equal(hash_of(recs, 50, 50, TSH_CODEC_NONE, spec, 0), with);
    assert_true(hash_of(recs, 50, 50, TSH_CODEC_NONE, spec, 9) != with);
  }
}

static void chunks(void **state) {
  (void)state;
  rec *recs = make_many();
  tsh_digest_spec spec = by_record;
  spec.chunk = 300;
  spec.from = 105;
  spec.to = 1090;
  tsh_digest d = fold(recs, MANY, 64, TSH_CODEC_LZ4, spec, 100);
  assert_int_equal(d.count, 4); /* 985 records: 3 x 300, 85 */
  assert_int_equal(d.chunks[0].from, 105);
  assert_int_equal(d.chunks[0].to, 405);
  assert_int_equal(d.chunks[3].from, 1005);
  assert_int_equal(d.chunks[3].to, 1090);
  assert_int_equal(d.chunks[3].records, 85);
  /* A chunk's hash depends on its own records alone. */
  tsh_digest_spec third = by_record;
  assert_int_equal(hash_of(recs + 305, 300, 7, TSH_CODEC_NONE, third, 0),
                   d.chunks[1].hash);
  drop(&d);

  spec.mode = TSH_DIGEST_BATCHES;
  spec.chunk = 100;
  d = fold(recs, MANY, 64, TSH_CODEC_NONE, spec, 100);
  assert_int_equal(d.chunks[0].from, 105); /* the first batch in part */
  int64_t records = 0;
  for (size_t i = 0; i < d.count; i++) {
    records += d.chunks[i].records;
    assert_true(i + 1 == d.count || d.chunks[i].records >= 100);
  }
  assert_int_equal(records, 985);
  drop(&d);

  spec.from = spec.to = 500;
  d = fold(recs, MANY, 64, TSH_CODEC_NONE, spec, 100);
  assert_int_equal(d.count, 0);
  drop(&d);
}

static void batches_as_sent(void **state) {
  (void)state;
  rec *recs = make_many();
  uint64_t first = hash_of(recs, 60, 20, TSH_CODEC_ZSTD, by_batch, 0);
  assert_int_equal(hash_of(recs, 60, 20, TSH_CODEC_ZSTD, by_batch, 77), first);
  assert_true(hash_of(recs, 60, 30, TSH_CODEC_ZSTD, by_batch, 0) != first);
  assert_true(hash_of(recs, 60, 20, TSH_CODEC_LZ4, by_batch, 0) != first);
}

/* The last record of each key, whatever came before and in what order. */
static void compacted(void **state) {
  (void)state;
  const rec all[] = {{"a", "1", 1, 0}, {"b", "1", 2, 0},  {"a", "2", 3, 0},
                     {"c", "1", 4, 0}, {"b", NULL, 5, 0}, {"a", "3", 6, 0},
                     {NULL, "x", 7, 0}};
  const rec cleaned[] = {{"c", "1", 4, 0}, {"a", "3", 6, 0}};
  const rec other_order[] = {{"a", "3", 6, 0}, {"c", "1", 4, 0}};
  const rec stale[] = {{"c", "1", 4, 0}, {"a", "2", 6, 0}};
  const rec revived[] = {{"c", "1", 4, 0}, {"a", "3", 6, 0}, {"b", "1", 2, 0}};
  uint64_t first = hash_of(all, 7, 2, TSH_CODEC_GZIP, by_key, 0);
  assert_int_equal(hash_of(cleaned, 2, 1, TSH_CODEC_NONE, by_key, 0), first);
  assert_int_equal(hash_of(other_order, 2, 2, TSH_CODEC_NONE, by_key, 0),
                   first);
  assert_true(hash_of(stale, 2, 2, TSH_CODEC_NONE, by_key, 0) != first);
  assert_true(hash_of(revived, 3, 3, TSH_CODEC_NONE, by_key, 0) != first);
  tsh_digest d = fold(all, 7, 3, TSH_CODEC_NONE, by_key, 40);
  assert_int_equal(d.chunks[0].records, 2);
  assert_int_equal(d.chunks[0].from, 43);
  assert_int_equal(d.chunks[0].to, 46);
  assert_int_equal(d.keyless, 1);
  assert_int_equal(d.key_count, 0);
  drop(&d);
}

static void buckets(void **state) {
  (void)state;
  enum { KEYS = 20000, SPREAD = 16 };
  char(*keys)[16] = calloc(KEYS, sizeof *keys);
  rec *recs = calloc(KEYS, sizeof *recs);
  for (int i = 0; i < KEYS; i++) {
    snprintf(keys[i], sizeof keys[i], "key %d", i);
    recs[i] = (rec){keys[i], "v", i, 0};
  }
  tsh_digest_spec spec = by_key;
  spec.chunk = SPREAD;
  spec.bucket = 5;
  tsh_digest a = fold(recs, KEYS, 500, TSH_CODEC_NONE, spec, 0);
  assert_int_equal(a.count, SPREAD);
  int64_t records = 0;
  for (int i = 0; i < SPREAD; i++) {
    records += a.chunks[i].records;
    assert_true(a.chunks[i].records > KEYS / SPREAD / 2);
  }
  assert_int_equal(records, KEYS);
  assert_int_equal(a.key_count, a.chunks[5].records);

  /* One key changes: one bucket differs, and in it one key. */
  recs[12345].value = "w";
  tsh_digest b = fold(recs, KEYS, 500, TSH_CODEC_NONE, spec, 0);
  int differ = -1;
  for (int i = 0; i < SPREAD; i++) {
    if (a.chunks[i].hash == b.chunks[i].hash)
      continue;
    assert_int_equal(differ, -1);
    differ = i;
  }
  assert_true(differ >= 0);
  drop(&a);
  drop(&b);
  spec.bucket = differ;
  b = fold(recs, KEYS, 500, TSH_CODEC_NONE, spec, 0);
  recs[12345].value = "v";
  a = fold(recs, KEYS, 500, TSH_CODEC_NONE, spec, 0);
  assert_int_equal(a.key_count, b.key_count);
  int64_t found = -1;
  for (size_t i = 0; i < a.key_count; i++) {
    assert_memory_equal(a.keys[i].key, b.keys[i].key, sizeof a.keys[i].key);
    if (a.keys[i].hash != b.keys[i].hash)
      found = a.keys[i].offset;
  }
  assert_int_equal(found, 12345);
  drop(&a);
  drop(&b);
  free(recs);
  free(keys);
}

static void broken(void **state) {
  (void)state;
  rec *recs = make_many();
  for (tsh_digest_mode mode = TSH_DIGEST_BATCHES; mode <= TSH_DIGEST_COMPACTED;
       mode++) {
    batch b = build(recs, 10, 0, TSH_CODEC_NONE);
    tsh_digest_spec spec = {.mode = mode, .chunk = 10, .to = 10};
    tsh_fold f;
    tsh_batch head;
    tsh_err err;
    b.bytes[b.size - 3] ^= 1;
    assert_int_equal(tsh_fold_init(&f, &spec, NULL), 0);
    assert_int_equal(tsh_batch_read(&head, b.bytes, b.size, NULL), 1);
    assert_int_equal(tsh_fold_add(&f, &head, &err), TSH_PROTOCOL);
    tsh_fold_fini(&f);
    free(b.bytes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(packing_is_nothing),
                                     cmocka_unit_test(each_difference),
                                     cmocka_unit_test(offsets_when_asked),
                                     cmocka_unit_test(chunks),
                                     cmocka_unit_test(batches_as_sent),
                                     cmocka_unit_test(compacted),
                                     cmocka_unit_test(buckets),
                                     cmocka_unit_test(broken)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
