/* Bytes as the brokers of mirror_world.h read and write them. */
#ifndef MIRROR_BYTES_H
#define MIRROR_BYTES_H

#include <sys/socket.h>
#include <unistd.h>

#include "batch_make.h"

typedef struct out {
  uint8_t *bytes;
  size_t size, capacity;
} out;

static inline uint8_t *out_more(out *o, size_t size) {
  if (o->size + size > o->capacity) {
    o->capacity = 2 * (o->size + size);
    o->bytes = realloc(o->bytes, o->capacity);
  }
  o->size += size;
  return o->bytes + o->size - size;
}
static inline void put_n(out *o, int64_t value, int size) {
  big_endian(out_more(o, (size_t)size), (uint64_t)value, size);
}
static inline void put_var(out *o, uint64_t value) {
  for (; value >= 128; value >>= 7)
    put_n(o, (int64_t)(value & 127) | 128, 1);
  put_n(o, (int64_t)value, 1);
}
static inline void put_raw(out *o, const void *bytes, size_t size) {
  if (size > 0)
    memcpy(out_more(o, size), bytes, size);
}

typedef struct in {
  const uint8_t *at;
} in;

static inline int64_t get_n(in *i, int size) {
  int64_t value = (int8_t)*i->at++;
  for (int k = 1; k < size; k++)
    value = (int64_t)((uint64_t)value << 8 | *i->at++);
  return value;
}
static inline uint64_t get_var(in *i) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    uint8_t byte = *i->at++;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128)
      return value;
  }
}

/* All of it, or false at the end of the stream. */
static inline bool read_all(int fd, void *to, size_t size) {
  for (uint8_t *at = to; size > 0;) {
    ssize_t got = read(fd, at, size);
    if (got <= 0)
      return false;
    at += got;
    size -= (size_t)got;
  }
  return true;
}

static inline bool write_all(int fd, const uint8_t *at, size_t size) {
  while (size > 0) {
    ssize_t put = send(fd, at, size, MSG_NOSIGNAL);
    if (put <= 0)
      return false;
    at += put;
    size -= (size_t)put;
  }
  return true;
}

#endif
