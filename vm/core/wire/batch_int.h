/* What the batch files share: big-endian fields, varints, growing buffers. */
#ifndef TRANSHIP_BATCH_INT_H
#define TRANSHIP_BATCH_INT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tranship/err.h"

enum {
  AT_BASE_OFFSET = 0,
  AT_LENGTH = 8,
  AT_LEADER_EPOCH = 12,
  AT_MAGIC = 16,
  AT_CRC = 17,
  AT_ATTRIBUTES = 21,
  AT_LAST_OFFSET_DELTA = 23,
  AT_BASE_TIMESTAMP = 27,
  AT_MAX_TIMESTAMP = 35,
  AT_PRODUCER_ID = 43,
  AT_PRODUCER_EPOCH = 51,
  AT_BASE_SEQUENCE = 53,
  AT_COUNT = 57,
  LENGTH_OVERHEAD = 12, /* bytes before those that Length counts */
  VARINT_MAX = 10,
  KAFKA_CORRUPT_MESSAGE = 2,
  KAFKA_UNSUPPORTED_VERSION = 35,
  KAFKA_INVALID_RECORD = 87
};

static inline uint16_t get16(const uint8_t *at) {
  return (uint16_t)(at[0] << 8 | at[1]);
}
static inline uint32_t get32(const uint8_t *at) {
  return (uint32_t)get16(at) << 16 | get16(at + 2);
}
static inline uint64_t get64(const uint8_t *at) {
  return (uint64_t)get32(at) << 32 | get32(at + 4);
}
static inline void put16(uint8_t *at, uint16_t v) {
  at[0] = (uint8_t)(v >> 8);
  at[1] = (uint8_t)v;
}
static inline void put32(uint8_t *at, uint32_t v) {
  put16(at, (uint16_t)(v >> 16));
  put16(at + 2, (uint16_t)v);
}
static inline void put64(uint8_t *at, uint64_t v) {
  put32(at, (uint32_t)(v >> 32));
  put32(at + 4, (uint32_t)v);
}

/* Zigzag varints. Reading returns the place after it, or NULL at the end of
 * the bytes or for more than 64 bits. Writing takes at most VARINT_MAX. */
const uint8_t *tsh_batch__get_varint(const uint8_t *at, const uint8_t *end,
                                     int64_t *out);
uint8_t *tsh_batch__put_varint(uint8_t *at, int64_t value);
size_t tsh_batch__varint_size(int64_t value);

/* Grows a malloc'd buffer to hold `need` bytes (at least doubling it). */
int tsh_batch__reserve(uint8_t **buffer, size_t *capacity, size_t need,
                       tsh_err *err);
int tsh_batch__bad(tsh_err *err, int code, const char *what);

#endif
