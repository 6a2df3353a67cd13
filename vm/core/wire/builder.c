/* Building dense batches: what is left of a gapped or trimmed one, and filler
 * that only takes up offsets. */
#include "tranship/batch.h"

#include <assert.h>
#include <stdlib.h>

#include "batch_int.h"

enum {
  RECORD_OVERHEAD = 6 * VARINT_MAX + 1, /* varints and attributes, at most */
  MAGIC = 2
};

uint8_t *tsh_batch__put_varint(uint8_t *at, int64_t value) {
  uint64_t rest = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
  for (; rest >= 128; rest >>= 7)
    *at++ = (uint8_t)(rest | 128);
  *at++ = (uint8_t)rest;
  return at;
}

size_t tsh_batch__varint_size(int64_t value) {
  uint64_t rest = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
  size_t size = 1;
  while (rest >>= 7)
    size++;
  return size;
}

void tsh_builder_init(tsh_builder *builder) { *builder = (tsh_builder){0}; }

void tsh_builder_fini(tsh_builder *builder) {
  free(builder->buffer);
  tsh_builder_init(builder);
}

static uint8_t *put_bytes(uint8_t *at, const uint8_t *bytes, size_t size) {
  at = tsh_batch__put_varint(at, bytes == NULL ? -1 : (int64_t)size);
  if (bytes != NULL && size > 0)
    memcpy(at, bytes, size);
  return at + (bytes == NULL ? 0 : size);
}

static size_t bytes_size(const uint8_t *bytes, size_t size) {
  if (bytes == NULL)
    return tsh_batch__varint_size(-1);
  return tsh_batch__varint_size((int64_t)size) + size;
}

int tsh_builder_add(tsh_builder *builder, const tsh_record *record,
                    tsh_err *err) {
  size_t need = builder->size + RECORD_OVERHEAD + record->key_size +
                record->value_size + record->headers_size;
  int status =
      tsh_batch__reserve(&builder->buffer, &builder->capacity, need, err);
  if (status != 0)
    return status;
  if (builder->count == 0)
    builder->base_timestamp = builder->max_timestamp = record->timestamp;
  if (record->timestamp > builder->max_timestamp)
    builder->max_timestamp = record->timestamp;
  int64_t time_delta = (int64_t)((uint64_t)record->timestamp -
                                 (uint64_t)builder->base_timestamp);
  size_t length = 1 + tsh_batch__varint_size(time_delta) +
                  tsh_batch__varint_size(builder->count) +
                  bytes_size(record->key, record->key_size) +
                  bytes_size(record->value, record->value_size) +
                  tsh_batch__varint_size(record->header_count) +
                  record->headers_size;
  uint8_t *at = builder->buffer + builder->size;
  at = tsh_batch__put_varint(at, (int64_t)length);
  *at++ = (uint8_t)record->attributes;
  at = tsh_batch__put_varint(at, time_delta);
  at = tsh_batch__put_varint(at, builder->count);
  at = put_bytes(at, record->key, record->key_size);
  at = put_bytes(at, record->value, record->value_size);
  at = tsh_batch__put_varint(at, record->header_count);
  if (record->headers_size > 0)
    memcpy(at, record->headers, record->headers_size);
  builder->size = (size_t)(at - builder->buffer) + record->headers_size;
  builder->count++;
  return 0;
}

static void put_header(uint8_t *bytes, size_t size, tsh_codec codec,
                       const tsh_builder *builder, const tsh_stamp *stamp) {
  int attributes = (int)codec;
  if (stamp->transactional)
    attributes |= TSH_BATCH_TRANSACTIONAL;
  put64(bytes + AT_BASE_OFFSET, 0);
  put32(bytes + AT_LENGTH, (uint32_t)(size - LENGTH_OVERHEAD));
  put32(bytes + AT_LEADER_EPOCH, (uint32_t)-1);
  bytes[AT_MAGIC] = MAGIC;
  put16(bytes + AT_ATTRIBUTES, (uint16_t)attributes);
  put32(bytes + AT_LAST_OFFSET_DELTA, (uint32_t)(builder->count - 1));
  put64(bytes + AT_BASE_TIMESTAMP, (uint64_t)builder->base_timestamp);
  put64(bytes + AT_MAX_TIMESTAMP, (uint64_t)builder->max_timestamp);
  put64(bytes + AT_PRODUCER_ID, (uint64_t)stamp->producer_id);
  put16(bytes + AT_PRODUCER_EPOCH, (uint16_t)stamp->producer_epoch);
  put32(bytes + AT_BASE_SEQUENCE, (uint32_t)stamp->sequence);
  put32(bytes + AT_COUNT, (uint32_t)builder->count);
  put32(bytes + AT_CRC,
        tsh_crc32c(0, bytes + TSH_BATCH_CRC_FROM, size - TSH_BATCH_CRC_FROM));
}

int tsh_builder_finish(tsh_builder *builder, tsh_codec codec,
                       const tsh_stamp *stamp, uint8_t **out, size_t *size,
                       tsh_err *err) {
  assert(builder->count > 0);
  uint8_t *bytes = NULL;
  size_t capacity = 0, packed = 0;
  int status =
      tsh_codec_compress(codec, builder->buffer, builder->size,
                         TSH_BATCH_HEADER, &bytes, &capacity, &packed, err);
  if (status != 0) {
    free(bytes);
    return status;
  }
  *size = TSH_BATCH_HEADER + packed;
  uint8_t *trimmed = realloc(bytes, *size);
  *out = trimmed != NULL ? trimmed : bytes;
  put_header(*out, *size, codec, builder, stamp);
  builder->size = 0;
  builder->count = 0;
  return 0;
}

int tsh_batch_filler(int32_t count, bool keyed, int64_t timestamp,
                     const tsh_stamp *stamp, uint8_t **out, size_t *size,
                     tsh_err *err) {
  assert(count > 0);
  tsh_builder builder;
  tsh_builder_init(&builder);
  tsh_record record = {.timestamp = timestamp,
                       .key = keyed ? (const uint8_t *)"" : NULL};
  int status = 0;
  while (status == 0 && builder.count < count)
    status = tsh_builder_add(&builder, &record, err);
  if (status == 0)
    status =
        tsh_builder_finish(&builder, TSH_CODEC_ZSTD, stamp, out, size, err);
  tsh_builder_fini(&builder);
  return status;
}
