/* Messages of the formats 0 and 1 for tests, as old brokers wrote them. */
#ifndef LEGACY_MAKE_H
#define LEGACY_MAKE_H

#include <xxhash.h>
#include <zlib.h>

#include "batch_make.h"

enum { OLD_APPEND_TIME = 8 };

/* Appends a message; NULL is null. */
static inline void add_message(made *set, int magic, int attributes,
                               int64_t offset, int64_t timestamp,
                               const void *key, int key_size, const void *value,
                               int value_size) {
  set->bytes = realloc(set->bytes,
                       set->size + 64 + (size_t)key_size + (size_t)value_size);
  uint8_t *start = set->bytes + set->size, *at = start + 18;
  big_endian(start, (uint64_t)offset, 8);
  start[16] = (uint8_t)magic;
  start[17] = (uint8_t)attributes;
  if (magic == 1) {
    big_endian(at, (uint64_t)timestamp, 8);
    at += 8;
  }
  big_endian(at, key == NULL ? UINT32_MAX : (uint64_t)key_size, 4);
  if (key != NULL)
    memcpy(at + 4, key, (size_t)key_size);
  at += 4 + (key == NULL ? 0 : key_size);
  big_endian(at, value == NULL ? UINT32_MAX : (uint64_t)value_size, 4);
  if (value != NULL)
    memcpy(at + 4, value, (size_t)value_size);
  at += 4 + (value == NULL ? 0 : value_size);
  big_endian(start + 8, (uint64_t)(at - start - 12), 4);
  big_endian(start + 12, crc32(0, start + 16, (uInt)(at - start - 16)), 4);
  set->size += (size_t)(at - start);
}

/* Record `i`: key "k<i>", value "value <i>", every third value null. */
static inline void add_numbered(made *set, int magic, int64_t offset, int i) {
  char key[32], value[64];
  int key_size = snprintf(key, sizeof key, "k%d", i);
  int value_size = snprintf(value, sizeof value, "value %d", i);
  add_message(set, magic, 0, offset, 1000 + i, key, key_size,
              i % 3 == 0 ? NULL : value, value_size);
}

/* The set wrapped into one message; the set is freed. */
static inline void add_wrapped(made *to, int magic, tsh_codec codec,
                               int attributes, int64_t last, made set) {
  uint8_t *packed = NULL;
  size_t capacity = 0, size = 0;
  assert_int_equal(tsh_codec_compress(codec, set.bytes, set.size, 0, &packed,
                                      &capacity, &size, NULL),
                   0);
  if (codec == TSH_CODEC_LZ4 && magic == 0) /* as their clients did */
    packed[6] = (uint8_t)(XXH32(packed, 6, 0) >> 8);
  add_message(to, magic, (int)codec | attributes, last, 5000, NULL, 0, packed,
              (int)size);
  free(packed);
  free(set.bytes);
}

#endif
