/* Messages of the formats 0 and 1 become batches. */
#include "legacy_make.h"

enum { LIMIT = 1 << 20 };

/* Checks record after record against add_numbered. */
static void is_numbered(const tsh_batch *batch, int64_t first, int count,
                        int step, int64_t timestamp) {
  tsh_records records;
  tsh_record record;
  char text[64];
  tsh_records_init(&records);
  assert_int_equal(tsh_batch_check(batch, NULL), 0);
  assert_int_equal(batch->count, count);
  assert_int_equal(tsh_records_open(&records, batch, LIMIT, NULL), 0);
  for (int i = 0; i < count; i++) {
    assert_int_equal(tsh_records_next(&records, &record, NULL), 1);
    assert_true(record.offset == first + (int64_t)i * step);
    assert_true(record.timestamp == (timestamp == 0 ? 1000 + i : timestamp));
    size_t size = (size_t)snprintf(text, sizeof text, "k%d", i);
    assert_int_equal(record.key_size, size);
    assert_memory_equal(record.key, text, size);
    size = (size_t)snprintf(text, sizeof text, "value %d", i);
    assert_true((record.value == NULL) == (i % 3 == 0));
    if (record.value != NULL) {
      assert_int_equal(record.value_size, size);
      assert_memory_equal(record.value, text, size);
    }
    assert_int_equal(record.header_count, 0);
  }
  assert_int_equal(tsh_records_next(&records, &record, NULL), 0);
  tsh_records_fini(&records);
}

static tsh_batch read_old(tsh_legacy *legacy, made set, size_t at,
                          size_t *used) {
  tsh_batch batch;
  assert_true(tsh_legacy_is(set.bytes + at, set.size - at));
  assert_int_equal(tsh_legacy_read(legacy, set.bytes + at, set.size - at, LIMIT,
                                   &batch, used, NULL),
                   1);
  return batch;
}

static void messages_become_a_batch(void **state) {
  (void)state;
  tsh_legacy legacy;
  tsh_legacy_init(&legacy);
  for (int magic = 0; magic < 2; magic++)
    for (int step = 1; step < 4; step++) { /* compacted: with gaps */
      made set = {NULL, 0};
      size_t used;
      for (int i = 0; i < 50; i++)
        add_numbered(&set, magic, 700 + i * step, i);
      tsh_batch batch = read_old(&legacy, set, 0, &used);
      assert_int_equal(used, set.size);
      is_numbered(&batch, 700, 50, step, magic == 0 ? -1 : 0);
      assert_int_equal(tsh_batch_is_dense(&batch), step == 1);
      assert_true(batch.producer_id == -1 && batch.leader_epoch == -1);
      int64_t next;
      assert_int_equal(tsh_batch_span(set.bytes, set.size, &next, &used, NULL),
                       1);
      assert_true(next == 701 && used < set.size / 40);
      free(set.bytes);
    }
  tsh_legacy_fini(&legacy);
}

/* Format 1 counts inside from the wrapper's first, whose offset is the last's
 * less what the set counts; append time is the wrapper's. */
static void wrapped_messages_become_a_batch(void **state) {
  (void)state;
  tsh_legacy legacy;
  tsh_legacy_init(&legacy);
  for (int codec = TSH_CODEC_GZIP; codec <= TSH_CODEC_LZ4; codec++)
    for (int magic = 0; magic < 2; magic++)
      for (int step = 1; step < 3; step++) {
        made inner = {NULL, 0}, set = {NULL, 0};
        int64_t first = 9007199254740993, last = first + 99 * step;
        size_t used;
        bool appended = magic == 1 && step == 2;
        for (int i = 0; i < 100; i++)
          add_numbered(&inner, magic, (magic == 0 ? first : 0) + i * step, i);
        add_wrapped(&set, magic, (tsh_codec)codec,
                    appended ? OLD_APPEND_TIME : 0, last, inner);
        add_numbered(&set, magic, last + 1, 0);
        tsh_batch batch = read_old(&legacy, set, 0, &used);
        assert_int_equal(legacy.codec, codec);
        is_numbered(&batch, first, 100, step,
                    magic == 0 ? -1
                    : appended ? 5000
                               : 0);
        int64_t next;
        size_t size;
        assert_int_equal(
            tsh_batch_span(set.bytes, set.size, &next, &size, NULL), 1);
        assert_true(next == last + 1 && size == used);
        batch = read_old(&legacy, set, used, &used);
        assert_int_equal(legacy.codec, TSH_CODEC_NONE);
        is_numbered(&batch, last + 1, 1, 1, magic == 0 ? -1 : 0);
        free(set.bytes);
      }
  tsh_legacy_fini(&legacy);
}

/* Singles end where something else begins; what is cut off is left. */
static void other_formats_follow(void **state) {
  (void)state;
  tsh_legacy legacy;
  made set = {NULL, 0}, newer = make_batch(3, 2, TSH_CODEC_NONE);
  size_t used;
  tsh_batch batch;
  tsh_legacy_init(&legacy);
  for (int i = 0; i < 3; i++)
    add_numbered(&set, i % 2, i, i);
  size_t singles = set.size;
  set.bytes = realloc(set.bytes, set.size + newer.size);
  memcpy(set.bytes + set.size, newer.bytes, newer.size);
  set.size += newer.size;
  batch = read_old(&legacy, set, 0, &used);
  assert_int_equal(used, singles);
  assert_int_equal(batch.count, 3);
  assert_false(tsh_legacy_is(set.bytes + used, set.size - used));
  set.size = singles - 1;
  batch = read_old(&legacy, set, 0, &used);
  assert_int_equal(batch.count, 2);
  assert_int_equal(tsh_legacy_read(&legacy, set.bytes + used, set.size - used,
                                   LIMIT, &batch, &used, NULL),
                   0);
  free(set.bytes);
  free(newer.bytes);
  tsh_legacy_fini(&legacy);
}

static void bad_messages_are_refused(void **state) {
  (void)state;
  tsh_legacy legacy;
  tsh_batch batch;
  tsh_err err;
  size_t used;
  made set = {NULL, 0}, inner = {NULL, 0};
  tsh_legacy_init(&legacy);
  for (int i = 0; i < 3; i++)
    add_numbered(&set, 1, 40 + i, i);
  set.bytes[set.size - 1] ^= 1;
  batch = read_old(&legacy, set, 0, &used);
  assert_int_equal(batch.count, 2);
  assert_int_equal(tsh_legacy_read(&legacy, set.bytes + used, set.size - used,
                                   LIMIT, &batch, &used, &err),
                   TSH_PROTOCOL);
  assert_int_equal(err.code, 2);
  assert_non_null(strstr(err.message, "offset 42"));
  set.size = 0;
  for (int i = 0; i < 1000; i++)
    add_numbered(&inner, 1, i, i);
  add_wrapped(&set, 1, TSH_CODEC_GZIP, 0, 999, inner);
  assert_int_equal(
      tsh_legacy_read(&legacy, set.bytes, set.size, 100, &batch, &used, &err),
      TSH_LIMIT);
  static const int64_t nowhere[] = {INT64_MIN, INT64_MAX};
  for (int i = 0; i < 2; i++) {
    set.size = 0;
    inner = (made){NULL, 0};
    add_numbered(&inner, 0, 5, 0);
    add_numbered(&inner, 0, nowhere[i], 1);
    add_wrapped(&set, 0, TSH_CODEC_GZIP, 0, 6, inner);
    assert_int_equal(tsh_legacy_read(&legacy, set.bytes, set.size, LIMIT,
                                     &batch, &used, &err),
                     TSH_PROTOCOL);
    set.size = 0;
    add_numbered(&set, i, INT64_MAX, 0);
    assert_int_equal(tsh_legacy_read(&legacy, set.bytes, set.size, LIMIT,
                                     &batch, &used, &err),
                     TSH_PROTOCOL);
  }
  set.size = 0;
  inner = (made){NULL, 0};
  add_numbered(&inner, 0, 0, 0);
  add_wrapped(&set, 1, TSH_CODEC_GZIP, 0, 7, inner);
  assert_int_equal(
      tsh_legacy_read(&legacy, set.bytes, set.size, LIMIT, &batch, &used, &err),
      TSH_PROTOCOL);
  free(set.bytes);
  tsh_legacy_fini(&legacy);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_become_a_batch),
      cmocka_unit_test(wrapped_messages_become_a_batch),
      cmocka_unit_test(other_formats_follow),
      cmocka_unit_test(bad_messages_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
