/* Headers of record batches: reading, checking, making them ours. */
#include "tranship/batch.h"

#include <assert.h>
#include <stdlib.h>

#include "batch_int.h"

enum {
  MAGIC = 2,
  BODY = TSH_BATCH_HEADER - TSH_BATCH_CRC_FROM, /* header bytes in the CRC */
  FIRST_CAPACITY = 4096
};

int tsh_batch__bad(tsh_err *err, int code, const char *what) {
  return tsh_err_set(err, TSH_PROTOCOL, "batch", code, "%s", what);
}

int tsh_batch__reserve(uint8_t **buffer, size_t *capacity, size_t need,
                       tsh_err *err) {
  if (need <= *capacity)
    return 0;
  size_t grown = *capacity < FIRST_CAPACITY ? FIRST_CAPACITY : *capacity * 2;
  if (grown < need)
    grown = need;
  uint8_t *moved = realloc(*buffer, grown);
  if (moved == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "batch", 0,
                       "no memory for %zu bytes of records", grown);
  *buffer = moved;
  *capacity = grown;
  return 0;
}

int tsh_batch_read(tsh_batch *out, const uint8_t *bytes, size_t size,
                   tsh_err *err) {
  if (size < TSH_BATCH_HEADER)
    return 0;
  int32_t length = (int32_t)get32(bytes + AT_LENGTH);
  if (bytes[AT_MAGIC] != MAGIC)
    return tsh_err_set(err, TSH_PROTOCOL, "batch", KAFKA_UNSUPPORTED_VERSION,
                       "offset %lld is in a message of format %d, not 2",
                       (long long)get64(bytes), bytes[AT_MAGIC]);
  if (length < TSH_BATCH_HEADER - LENGTH_OVERHEAD)
    return tsh_batch__bad(err, KAFKA_CORRUPT_MESSAGE, "batch length too small");
  if ((size_t)length + LENGTH_OVERHEAD > size)
    return 0;
  *out = (tsh_batch){
      .bytes = bytes,
      .size = (size_t)length + LENGTH_OVERHEAD,
      .base_offset = (int64_t)get64(bytes + AT_BASE_OFFSET),
      .base_timestamp = (int64_t)get64(bytes + AT_BASE_TIMESTAMP),
      .max_timestamp = (int64_t)get64(bytes + AT_MAX_TIMESTAMP),
      .producer_id = (int64_t)get64(bytes + AT_PRODUCER_ID),
      .leader_epoch = (int32_t)get32(bytes + AT_LEADER_EPOCH),
      .last_offset_delta = (int32_t)get32(bytes + AT_LAST_OFFSET_DELTA),
      .base_sequence = (int32_t)get32(bytes + AT_BASE_SEQUENCE),
      .count = (int32_t)get32(bytes + AT_COUNT),
      .crc = get32(bytes + AT_CRC),
      .attributes = (int16_t)get16(bytes + AT_ATTRIBUTES),
      .producer_epoch = (int16_t)get16(bytes + AT_PRODUCER_EPOCH),
  };
  if (out->count < 0 || out->last_offset_delta < 0 ||
      out->count > (int64_t)out->last_offset_delta + 1)
    return tsh_batch__bad(err, KAFKA_INVALID_RECORD,
                          "batch counts more records than offsets");
  if (out->base_offset < 0 ||
      out->base_offset >= INT64_MAX - out->last_offset_delta)
    return tsh_batch__bad(err, KAFKA_INVALID_RECORD,
                          "batch lies at offsets that there are not");
  return 1;
}

static int wrong_crc(tsh_err *err, const uint8_t *bytes) {
  return tsh_err_set(err, TSH_PROTOCOL, "batch", KAFKA_CORRUPT_MESSAGE,
                     "batch at offset %lld does not match its CRC",
                     (long long)get64(bytes));
}

int tsh_batch_check(const tsh_batch *batch, tsh_err *err) {
  uint32_t crc = tsh_crc32c(0, batch->bytes + TSH_BATCH_CRC_FROM,
                            batch->size - TSH_BATCH_CRC_FROM);
  return crc == batch->crc ? 0 : wrong_crc(err, batch->bytes);
}

/* The part of the header that the CRC covers, as it will be. */
static void stamped_body(uint8_t *body, const tsh_stamp *stamp) {
  uint8_t *header = body - TSH_BATCH_CRC_FROM; /* offsets count from there */
  int attributes =
      get16(header + AT_ATTRIBUTES) &
      ~(TSH_BATCH_APPEND_TIME | TSH_BATCH_TRANSACTIONAL | TSH_BATCH_HORIZON);
  if (stamp->transactional)
    attributes |= TSH_BATCH_TRANSACTIONAL;
  put16(header + AT_ATTRIBUTES, (uint16_t)attributes);
  put64(header + AT_PRODUCER_ID, (uint64_t)stamp->producer_id);
  put16(header + AT_PRODUCER_EPOCH, (uint16_t)stamp->producer_epoch);
  put32(header + AT_BASE_SEQUENCE, (uint32_t)stamp->sequence);
}

int tsh_batch_stamp(uint8_t *bytes, size_t size, const tsh_stamp *stamp,
                    bool verify, tsh_err *err) {
  assert(size >= TSH_BATCH_HEADER);
  uint8_t header[TSH_BATCH_HEADER];
  memcpy(header, bytes, sizeof header);
  uint8_t *body = header + TSH_BATCH_CRC_FROM;
  const uint8_t *old = bytes + TSH_BATCH_CRC_FROM;
  size_t payload = size - TSH_BATCH_HEADER;
  uint32_t crc = get32(header + AT_CRC);
  stamped_body(body, stamp);
  /* Linear: what the header changes in the state, moved past the payload, is
   * what it changes in the checksum. */
  uint8_t difference[BODY];
  for (int i = 0; i < BODY; i++)
    difference[i] = body[i] ^ old[i];
  if (verify) {
    uint32_t state = tsh_crc32c_raw(~0u, old, BODY);
    if (~tsh_crc32c_raw(state, bytes + TSH_BATCH_HEADER, payload) != crc)
      return wrong_crc(err, bytes);
  }
  crc ^= tsh_crc32c_shift(tsh_crc32c_raw(0, difference, BODY), payload);
  put32(header + AT_CRC, crc);
  put64(header + AT_BASE_OFFSET, 0);
  put32(header + AT_LEADER_EPOCH, (uint32_t)-1);
  memcpy(bytes, header, sizeof header);
  return 0;
}
