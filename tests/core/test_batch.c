/* Batches: checksums, headers, records, codecs, building, aborted data. */
#include "batch_make.h"

#include "core/wire/snappy.h"

enum { LIMIT = 1 << 20 };

static void crc_agrees_with_itself(void **state) {
  (void)state;
  assert_int_equal(tsh_crc32c(0, "123456789", 9), 0xE3069283);
  assert_int_equal(~tsh_crc32c_table(~0u, "123456789", 9), 0xE3069283);
  size_t size = 50021;
  uint8_t *bytes = malloc(size);
  for (size_t i = 0; i < size; i++)
    bytes[i] = (uint8_t)(i * 2654435761u >> 13);
  for (size_t n = 0; n < size; n = n * 2 + 3) {
    uint32_t whole = tsh_crc32c(0, bytes, n);
    assert_int_equal(whole, ~tsh_crc32c_table(~0u, bytes, n));
    size_t half = n / 3;
    uint32_t parts =
        tsh_crc32c(tsh_crc32c(0, bytes, half), bytes + half, n - half);
    assert_int_equal(whole, parts);
    uint32_t moved =
        tsh_crc32c_shift(tsh_crc32c_raw(~0u, bytes, half), n - half);
    assert_int_equal(whole,
                     ~(moved ^ tsh_crc32c_raw(0, bytes + half, n - half)));
  }
  free(bytes);
}

static void header_is_read(void **state) {
  (void)state;
  made batch = make_batch(9007199254740993, 3, TSH_CODEC_NONE);
  tsh_batch header = read_batch(batch);
  assert_true(header.base_offset == 9007199254740993);
  assert_int_equal(header.count, 3);
  assert_int_equal(header.last_offset_delta, 2);
  assert_true(header.base_timestamp == 1000 && header.max_timestamp == 1002);
  assert_true(tsh_batch_next_offset(&header) == 9007199254740996);
  assert_true(tsh_batch_is_forwardable(&header));
  assert_int_equal(tsh_batch_check(&header, NULL), 0);
  for (size_t n = 0; n < batch.size; n++) {
    tsh_batch cut;
    assert_int_equal(tsh_batch_read(&cut, batch.bytes, n, NULL), 0);
  }
  free(batch.bytes);
}

static void odd_headers_are_refused(void **state) {
  (void)state;
  made batch = make_batch(5, 3, TSH_CODEC_NONE);
  tsh_batch out;
  tsh_err err;
  batch.bytes[16] = 1;
  assert_int_equal(tsh_batch_read(&out, batch.bytes, batch.size, &err),
                   TSH_PROTOCOL);
  assert_int_equal(err.code, 35);
  batch.bytes[16] = 2;
  big_endian(batch.bytes + 57, 4, 4);
  assert_int_equal(tsh_batch_read(&out, batch.bytes, batch.size, &err),
                   TSH_PROTOCOL);
  big_endian(batch.bytes + 57, 3, 4);
  static const int64_t nowhere[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX - 2};
  for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
    big_endian(batch.bytes, (uint64_t)nowhere[i], 8);
    assert_int_equal(tsh_batch_read(&out, batch.bytes, batch.size, &err),
                     TSH_PROTOCOL);
  }
  big_endian(batch.bytes, INT64_MAX - 3, 8);
  assert_int_equal(tsh_batch_read(&out, batch.bytes, batch.size, &err), 1);
  assert_true(tsh_batch_next_offset(&out) == INT64_MAX);
  big_endian(batch.bytes, 5, 8);
  big_endian(batch.bytes + 23, INT32_MAX, 4);
  assert_int_equal(tsh_batch_read(&out, batch.bytes, batch.size, &err), 1);
  assert_false(tsh_batch_is_dense(&out));
  big_endian(batch.bytes + 23, 2, 4);
  big_endian(batch.bytes + 8, 20, 4);
  assert_int_equal(tsh_batch_read(&out, batch.bytes, batch.size, &err),
                   TSH_PROTOCOL);
  free(batch.bytes);
}

static void stamping_keeps_the_payload(void **state) {
  (void)state;
  tsh_stamp ours = {77, 3, 2147483640, false};
  for (int verify = 0; verify < 2; verify++) {
    made batch = make_batch(400, 500, TSH_CODEC_LZ4);
    set_producer(batch, 12,
                 TSH_BATCH_TRANSACTIONAL | TSH_BATCH_APPEND_TIME |
                     TSH_BATCH_HORIZON);
    uint8_t *before = malloc(batch.size);
    memcpy(before, batch.bytes, batch.size);
    assert_int_equal(
        tsh_batch_stamp(batch.bytes, batch.size, &ours, verify, NULL), 0);
    tsh_batch now = read_batch(batch);
    assert_int_equal(tsh_batch_check(&now, NULL), 0);
    assert_true(now.base_offset == 0 && now.leader_epoch == -1);
    assert_int_equal(now.attributes, TSH_CODEC_LZ4);
    assert_true(now.producer_id == 77 && now.producer_epoch == 3);
    assert_int_equal(now.base_sequence, 2147483640);
    assert_memory_equal(before + TSH_BATCH_HEADER,
                        batch.bytes + TSH_BATCH_HEADER,
                        batch.size - TSH_BATCH_HEADER);
    free(before);
    free(batch.bytes);
  }
}

static void stamping_sees_flipped_bits(void **state) {
  (void)state;
  tsh_stamp ours = {77, 3, 0, false};
  made batch = make_batch(400, 50, TSH_CODEC_NONE);
  uint8_t *before = malloc(batch.size);
  for (size_t at = TSH_BATCH_CRC_FROM; at < batch.size; at += 7) {
    batch.bytes[at] ^= 4;
    memcpy(before, batch.bytes, batch.size);
    tsh_err err;
    assert_int_equal(
        tsh_batch_stamp(batch.bytes, batch.size, &ours, true, &err),
        TSH_PROTOCOL);
    assert_int_equal(err.code, 2);
    assert_memory_equal(before, batch.bytes, batch.size);
    batch.bytes[at] ^= 4;
  }
  /* Without a look at the payload the flaw travels, it is not covered up. */
  batch.bytes[batch.size - 1] ^= 4;
  assert_int_equal(tsh_batch_stamp(batch.bytes, batch.size, &ours, false, NULL),
                   0);
  tsh_batch now = read_batch(batch);
  assert_int_equal(tsh_batch_check(&now, NULL), TSH_PROTOCOL);
  free(before);
  free(batch.bytes);
}

static void check_records(tsh_records *records, int64_t base, int count) {
  tsh_record record;
  for (int i = 0; i < count; i++) {
    char key[32], value[64];
    snprintf(key, sizeof key, "k%d", i);
    size_t size = (size_t)snprintf(value, sizeof value, "value %d", i);
    assert_int_equal(tsh_records_next(records, &record, NULL), 1);
    assert_true(record.offset == base + i);
    assert_true(record.timestamp == 1000 + i);
    assert_int_equal(record.key_size, strlen(key));
    assert_memory_equal(record.key, key, record.key_size);
    assert_int_equal(record.value_size, size);
    assert_memory_equal(record.value, value, size);
  }
  assert_int_equal(tsh_records_next(records, &record, NULL), 0);
}

static void every_codec_goes_round(void **state) {
  (void)state;
  static const int counts[] = {1, 2, 1000, 20000};
  tsh_records records;
  tsh_records_init(&records);
  for (int codec = TSH_CODEC_NONE; codec <= TSH_CODEC_ZSTD; codec++)
    for (int i = 0; i < 4; i++) {
      made batch = make_batch(100, counts[i], (tsh_codec)codec);
      tsh_batch header = read_batch(batch);
      assert_int_equal(tsh_batch_codec(&header), codec);
      assert_int_equal(tsh_records_open(&records, &header, LIMIT, NULL), 0);
      check_records(&records, 100, counts[i]);
      free(batch.bytes);
    }
  tsh_records_fini(&records);
}

/* librdkafka sends snappy without xerial's blocks. */
static void raw_snappy_is_read(void **state) {
  (void)state;
  assert_int_equal(tsh_wire__load_snappy(NULL), 0);
  made plain = make_batch(7, 300, TSH_CODEC_NONE);
  size_t payload = plain.size - TSH_BATCH_HEADER;
  size_t packed = snappy_max_compressed_length(payload);
  made batch = {malloc(TSH_BATCH_HEADER + packed), 0};
  memcpy(batch.bytes, plain.bytes, TSH_BATCH_HEADER);
  assert_int_equal(
      snappy_compress((char *)plain.bytes + TSH_BATCH_HEADER, payload,
                      (char *)batch.bytes + TSH_BATCH_HEADER, &packed),
      SNAPPY_OK);
  batch.size = TSH_BATCH_HEADER + packed;
  batch.bytes[22] = TSH_CODEC_SNAPPY;
  big_endian(batch.bytes + 8, batch.size - 12, 4);
  seal(batch);
  tsh_batch header = read_batch(batch);
  tsh_records records;
  tsh_records_init(&records);
  assert_int_equal(tsh_records_open(&records, &header, LIMIT, NULL), 0);
  check_records(&records, 7, 300);
  tsh_records_fini(&records);
  free(plain.bytes);
  free(batch.bytes);
}

static void output_is_bounded(void **state) {
  (void)state;
  uint8_t *bytes;
  size_t size;
  tsh_stamp nobody = {-1, -1, -1, false};
  assert_int_equal(
      tsh_batch_filler(1000000, true, 5, &nobody, &bytes, &size, NULL), 0);
  assert_true(size < 900000); /* fits a broker's default of 1 MiB */
  tsh_batch header = read_batch((made){bytes, size});
  tsh_records records;
  tsh_record record;
  tsh_records_init(&records);
  assert_int_equal(tsh_records_open(&records, &header, LIMIT, NULL), TSH_LIMIT);
  assert_int_equal(tsh_records_open(&records, &header, 64 << 20, NULL), 0);
  int count = 0;
  while (tsh_records_next(&records, &record, NULL) == 1) {
    assert_true(record.offset == count++);
    assert_true(record.key != NULL && record.key_size == 0);
    assert_true(record.value == NULL);
  }
  assert_int_equal(count, 1000000);
  tsh_records_fini(&records);
  free(bytes);
}

/* Any flipped byte ends in an error or in other records, never in a crash
 * (the sanitizers watch), and never past the end of the batch. */
static void broken_bytes_end_in_errors(void **state) {
  (void)state;
  tsh_records records;
  tsh_records_init(&records);
  for (int codec = TSH_CODEC_NONE; codec <= TSH_CODEC_ZSTD; codec++) {
    made batch = make_batch(0, 40, (tsh_codec)codec);
    for (size_t at = TSH_BATCH_HEADER; at < batch.size; at++) {
      tsh_record record;
      tsh_header field;
      batch.bytes[at] ^= 0x85;
      tsh_batch header = read_batch(batch);
      if (tsh_records_open(&records, &header, LIMIT, NULL) == 0)
        while (tsh_records_next(&records, &record, NULL) == 1) {
          const uint8_t *next = record.headers;
          while (tsh_record_header(&record, &next, &field, NULL) == 1)
            continue;
        }
      batch.bytes[at] ^= 0x85;
    }
    /* Cut off, with the header saying so. */
    big_endian(batch.bytes + 8, batch.size - 13, 4);
    tsh_batch cut = read_batch((made){batch.bytes, batch.size - 1});
    tsh_record record;
    int status = tsh_records_open(&records, &cut, LIMIT, NULL);
    for (status = status == 0 ? 1 : status; status == 1;)
      status = tsh_records_next(&records, &record, NULL);
    assert_true(status < 0);
    free(batch.bytes);
  }
  tsh_records_fini(&records);
}

static void nulls_and_headers_survive(void **state) {
  (void)state;
  static const uint8_t headers[] = {2, 'a', 1, 4, 'b', 'c', 0};
  tsh_builder builder;
  tsh_builder_init(&builder);
  tsh_record first = {.timestamp = -1,
                      .headers = headers,
                      .headers_size = sizeof headers,
                      .header_count = 2};
  tsh_record second = {.timestamp = 1795392000000,
                       .key = (const uint8_t *)"",
                       .value = (const uint8_t *)""};
  assert_int_equal(tsh_builder_add(&builder, &first, NULL), 0);
  assert_int_equal(tsh_builder_add(&builder, &second, NULL), 0);
  made batch;
  tsh_stamp stamp = {1, 2, 3, true};
  assert_int_equal(tsh_builder_finish(&builder, TSH_CODEC_GZIP, &stamp,
                                      &batch.bytes, &batch.size, NULL),
                   0);
  tsh_batch read = read_batch(batch);
  assert_true(tsh_batch_is(&read, TSH_BATCH_TRANSACTIONAL));
  assert_true(read.max_timestamp == 1795392000000);
  assert_int_equal(tsh_batch_check(&read, NULL), 0);
  tsh_records records;
  tsh_record record;
  tsh_records_init(&records);
  assert_int_equal(tsh_records_open(&records, &read, LIMIT, NULL), 0);
  assert_int_equal(tsh_records_next(&records, &record, NULL), 1);
  assert_true(record.timestamp == -1 && !record.key && !record.value);
  assert_int_equal(record.header_count, 2);
  const uint8_t *at = record.headers;
  tsh_header header;
  assert_int_equal(tsh_record_header(&record, &at, &header, NULL), 1);
  assert_true(header.name_size == 1 && header.name[0] == 'a');
  assert_null(header.value);
  assert_int_equal(tsh_record_header(&record, &at, &header, NULL), 1);
  assert_memory_equal(header.name, "bc", 2);
  assert_true(header.value != NULL && header.value_size == 0);
  assert_int_equal(tsh_record_header(&record, &at, &header, NULL), 0);
  assert_int_equal(tsh_records_next(&records, &record, NULL), 1);
  assert_true(record.timestamp == 1795392000000);
  assert_true(record.key && record.value && !record.key_size);
  assert_int_equal(tsh_records_next(&records, &record, NULL), 0);
  tsh_records_fini(&records);
  tsh_builder_fini(&builder);
  free(batch.bytes);
}

static void gaps_and_append_time_are_told(void **state) {
  (void)state;
  static const int deltas[] = {1, 2, 6};
  made batch = make_gapped(50, deltas, 3, 9);
  tsh_batch header = read_batch(batch);
  assert_false(tsh_batch_is_forwardable(&header));
  assert_true(tsh_batch_next_offset(&header) == 60);
  header.attributes |= TSH_BATCH_APPEND_TIME;
  header.max_timestamp = 4711;
  tsh_records records;
  tsh_record record;
  tsh_records_init(&records);
  assert_int_equal(tsh_records_open(&records, &header, LIMIT, NULL), 0);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(tsh_records_next(&records, &record, NULL), 1);
    assert_true(record.offset == 50 + deltas[i]);
    assert_true(record.timestamp == 4711);
  }
  assert_int_equal(tsh_records_next(&records, &record, NULL), 0);
  tsh_records_fini(&records);
  free(batch.bytes);
}

/* Producers 1 to 3 interleave; 1 aborts twice, 2 commits, 3 aborts late. */
static void aborted_data_is_skipped(void **state) {
  (void)state;
  struct step {
    int64_t producer;
    int kind; /* 0 data, 1 abort marker, 2 commit marker, 3 plain data */
    int skipped;
  };
  static const struct step steps[] = {
      {1, 0, 1}, {2, 0, 0}, {1, 3, 0},  {-1, 3, 0}, {3, 0, 1}, {1, 1, 1},
      {1, 0, 0}, {2, 2, 1}, {1, 2, 1},  {3, 0, 1},  {1, 0, 1}, {3, 1, 1},
      {2, 0, 0}, {1, 1, 1}, {-1, 3, 0}, {3, 0, 0},
  };
  tsh_aborted aborted;
  tsh_aborted_init(&aborted);
  assert_int_equal(tsh_aborted_add(&aborted, 1, 100, NULL), 0);
  assert_int_equal(tsh_aborted_add(&aborted, 3, 40, NULL), 0);
  assert_int_equal(tsh_aborted_add(&aborted, 1, 0, NULL), 0);
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    struct step step = steps[i];
    int64_t base = (int64_t)i * 10;
    made batch = step.kind == 1 || step.kind == 2
                     ? make_marker(base, step.producer, step.kind == 2)
                     : make_batch(base, 10, TSH_CODEC_NONE);
    if (step.kind == 0)
      set_producer(batch, step.producer, TSH_BATCH_TRANSACTIONAL);
    if (step.kind == 3 && step.producer > 0)
      big_endian(batch.bytes + 43, (uint64_t)step.producer, 8);
    tsh_batch header = read_batch(batch);
    assert_int_equal(tsh_aborted_skips(&aborted, &header, NULL), step.skipped);
    free(batch.bytes);
  }
  tsh_aborted_fini(&aborted);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(crc_agrees_with_itself),
      cmocka_unit_test(header_is_read),
      cmocka_unit_test(odd_headers_are_refused),
      cmocka_unit_test(stamping_keeps_the_payload),
      cmocka_unit_test(stamping_sees_flipped_bits),
      cmocka_unit_test(every_codec_goes_round),
      cmocka_unit_test(raw_snappy_is_read),
      cmocka_unit_test(output_is_bounded),
      cmocka_unit_test(broken_bytes_end_in_errors),
      cmocka_unit_test(nulls_and_headers_survive),
      cmocka_unit_test(gaps_and_append_time_are_told),
      cmocka_unit_test(aborted_data_is_skipped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
