/* Batches for tests: records with numbered keys and values. */
#ifndef BATCH_MAKE_H
#define BATCH_MAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tranship/batch.h"

typedef struct made {
  uint8_t *bytes;
  size_t size;
} made;

static inline void big_endian(uint8_t *at, uint64_t value, int size) {
  for (int i = size - 1; i >= 0; i--, value >>= 8)
    at[i] = (uint8_t)value;
}

/* The checksum after a header was changed by hand. */
static inline void seal(made batch) {
  uint32_t crc = tsh_crc32c(0, batch.bytes + TSH_BATCH_CRC_FROM,
                            batch.size - TSH_BATCH_CRC_FROM);
  big_endian(batch.bytes + 17, crc, 4);
}

/* `count` records "k<i>" = "value <i>", timestamps 1000 + i. */
static inline made make_batch(int64_t base, int count, tsh_codec codec) {
  tsh_builder builder;
  tsh_stamp stamp = {-1, -1, -1, false};
  made batch;
  tsh_builder_init(&builder);
  for (int i = 0; i < count; i++) {
    char key[32], value[64];
    tsh_record record = {.timestamp = 1000 + i,
                         .key = (uint8_t *)key,
                         .value = (uint8_t *)value};
    record.key_size = (size_t)snprintf(key, sizeof key, "k%d", i);
    record.value_size = (size_t)snprintf(value, sizeof value, "value %d", i);
    assert_int_equal(tsh_builder_add(&builder, &record, NULL), 0);
  }
  assert_int_equal(tsh_builder_finish(&builder, codec, &stamp, &batch.bytes,
                                      &batch.size, NULL),
                   0);
  tsh_builder_fini(&builder);
  big_endian(batch.bytes, (uint64_t)base, 8);
  return batch;
}

/* An uncompressed batch that the cleaner went through: one record for each of
 * the given deltas, up to `last`. */
static inline made make_gapped(int64_t base, const int *deltas, int count,
                               int last) {
  made batch = {calloc(1, 4096), TSH_BATCH_HEADER};
  for (int i = 0; i < count; i++) {
    /* length, attributes, time delta, offset delta, key "x", null value, 0 */
    uint8_t record[] = {14, 0, 0, (uint8_t)(deltas[i] * 2), 2, 'x', 1, 0};
    memcpy(batch.bytes + batch.size, record, sizeof record);
    batch.size += sizeof record;
  }
  big_endian(batch.bytes, (uint64_t)base, 8);
  big_endian(batch.bytes + 8, batch.size - 12, 4);
  batch.bytes[16] = 2;
  big_endian(batch.bytes + 23, (uint64_t)last, 4);
  big_endian(batch.bytes + 43, UINT64_MAX, 8);
  big_endian(batch.bytes + 57, (uint64_t)count, 4);
  seal(batch);
  return batch;
}

static inline void set_producer(made batch, int64_t id, int attributes) {
  big_endian(batch.bytes + 43, (uint64_t)id, 8);
  batch.bytes[22] = (uint8_t)(batch.bytes[22] | attributes);
  seal(batch);
}

/* A control batch: the end of a transaction. */
static inline made make_marker(int64_t base, int64_t producer, int commit) {
  made batch = {calloc(1, 128), TSH_BATCH_HEADER};
  uint8_t record[] = {20, 0, 0, 0, 8, 0, 0, 0, (uint8_t)commit, 1, 0};
  memcpy(batch.bytes + batch.size, record, sizeof record);
  batch.size += sizeof record;
  big_endian(batch.bytes, (uint64_t)base, 8);
  big_endian(batch.bytes + 8, batch.size - 12, 4);
  batch.bytes[16] = 2;
  big_endian(batch.bytes + 57, 1, 4);
  set_producer(batch, producer, TSH_BATCH_CONTROL | TSH_BATCH_TRANSACTIONAL);
  return batch;
}

static inline tsh_batch read_batch(made batch) {
  tsh_batch out;
  assert_int_equal(tsh_batch_read(&out, batch.bytes, batch.size, NULL), 1);
  assert_int_equal(out.size, batch.size);
  return out;
}

#endif
