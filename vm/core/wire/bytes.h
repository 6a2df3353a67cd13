/* Kafka's primitive types: big-endian numbers and varints, read and written.
 *
 * `tsh_in` reads with a sticky failure: past the end every read gives 0 and
 * `bad` stays set, so a decoder asks once, at the end of a structure. `tsh_out`
 * writes; with `at` NULL it only counts, so that an encoder runs twice over
 * the same code: once for the size, once into one block. */
#ifndef TRANSHIP_WIRE_BYTES_H
#define TRANSHIP_WIRE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tranship/proto.h"

static inline uint16_t tsh_get16(const uint8_t *p) {
  return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t tsh_get32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}
static inline uint64_t tsh_get64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, 8);
  return __builtin_bswap64(v);
}
static inline void tsh_put16(uint8_t *p, uint16_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}
static inline void tsh_put32(uint8_t *p, uint32_t v) {
  v = __builtin_bswap32(v);
  memcpy(p, &v, 4);
}
static inline void tsh_put64(uint8_t *p, uint64_t v) {
  v = __builtin_bswap64(v);
  memcpy(p, &v, 8);
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the byte swaps above are for little-endian machines"
#endif

/* --- reading ------------------------------------------------------------- */

typedef struct tsh_in {
  const uint8_t *at, *end;
  bool bad;
} tsh_in;

static inline tsh_in tsh_in_of(const void *data, size_t size) {
  const uint8_t *p = data;
  return (tsh_in){p, p ? p + size : p, false};
}
static inline size_t tsh_in_left(const tsh_in *in) {
  return (size_t)(in->end - in->at);
}
/* The next n bytes, or NULL (and bad). */
static inline const uint8_t *tsh_in_take(tsh_in *in, uint64_t n) {
  const uint8_t *p = in->at;
  if (in->bad || n > tsh_in_left(in)) {
    in->bad = true;
    return NULL;
  }
  in->at += n;
  return p;
}
static inline int8_t tsh_in_i8(tsh_in *in) {
  const uint8_t *p = tsh_in_take(in, 1);
  return p ? (int8_t)*p : 0;
}
static inline int16_t tsh_in_i16(tsh_in *in) {
  const uint8_t *p = tsh_in_take(in, 2);
  return p ? (int16_t)tsh_get16(p) : 0;
}
static inline int32_t tsh_in_i32(tsh_in *in) {
  const uint8_t *p = tsh_in_take(in, 4);
  return p ? (int32_t)tsh_get32(p) : 0;
}
static inline int64_t tsh_in_i64(tsh_in *in) {
  const uint8_t *p = tsh_in_take(in, 8);
  return p ? (int64_t)tsh_get64(p) : 0;
}
static inline uint32_t tsh_in_uvarint(tsh_in *in) {
  uint32_t v = 0;
  for (int shift = 0; shift < 35; shift += 7) {
    const uint8_t *p = tsh_in_take(in, 1);
    if (!p)
      return 0;
    if (shift == 28 && (*p & 0xf0))
      break; /* beyond 32 bits */
    v |= (uint32_t)(*p & 0x7f) << shift;
    if (!(*p & 0x80))
      return v;
  }
  in->bad = true;
  return 0;
}
/* A length or count: -1 is null. Never more than what is left can hold. */
static inline int64_t tsh_in_count(tsh_in *in, bool compact, bool is_short) {
  int64_t n = compact    ? (int64_t)tsh_in_uvarint(in) - 1
              : is_short ? tsh_in_i16(in)
                         : tsh_in_i32(in);
  if (in->bad)
    return -1;
  if (n < -1 || n > (int64_t)tsh_in_left(in)) {
    in->bad = true;
    return -1;
  }
  return n;
}
static inline tsh_text tsh_in_sized(tsh_in *in, bool compact, bool is_short) {
  int64_t n = tsh_in_count(in, compact, is_short);
  if (n < 0)
    return (tsh_text){NULL, 0};
  return (tsh_text){(const char *)tsh_in_take(in, (uint64_t)n), (size_t)n};
}
static inline tsh_text tsh_in_text(tsh_in *in, bool compact) {
  return tsh_in_sized(in, compact, true);
}
static inline tsh_text tsh_in_bytes(tsh_in *in, bool compact) {
  return tsh_in_sized(in, compact, false);
}
/* Tagged fields: each is a reader of its own; gives false at the end. */
static inline bool tsh_in_tag(tsh_in *in, uint32_t *left, uint32_t *tag,
                              tsh_in *field) {
  if (in->bad || *left == 0)
    return false;
  (*left)--;
  *tag = tsh_in_uvarint(in);
  uint32_t size = tsh_in_uvarint(in);
  const uint8_t *p = tsh_in_take(in, size);
  if (!p)
    return false;
  *field = tsh_in_of(p, size);
  return true;
}
static inline void tsh_in_skip_tags(tsh_in *in) {
  uint32_t left = tsh_in_uvarint(in), tag;
  tsh_in field;
  while (tsh_in_tag(in, &left, &tag, &field)) {
  }
}

/* --- writing ------------------------------------------------------------- */

typedef struct tsh_out {
  uint8_t *at; /* NULL: count only */
  size_t size; /* bytes so far */
} tsh_out;

static inline void tsh_out_raw(tsh_out *out, const void *data, size_t n) {
  if (out->at && n) {
    memcpy(out->at, data, n);
    out->at += n;
  }
  out->size += n;
}
static inline void tsh_out_i8(tsh_out *out, int v) {
  uint8_t b = (uint8_t)v;
  tsh_out_raw(out, &b, 1);
}
static inline void tsh_out_i16(tsh_out *out, int v) {
  uint8_t b[2];
  tsh_put16(b, (uint16_t)v);
  tsh_out_raw(out, b, 2);
}
static inline void tsh_out_i32(tsh_out *out, int32_t v) {
  uint8_t b[4];
  tsh_put32(b, (uint32_t)v);
  tsh_out_raw(out, b, 4);
}
static inline void tsh_out_i64(tsh_out *out, int64_t v) {
  uint8_t b[8];
  tsh_put64(b, (uint64_t)v);
  tsh_out_raw(out, b, 8);
}
static inline void tsh_out_uvarint(tsh_out *out, uint32_t v) {
  for (; v >= 0x80; v >>= 7)
    tsh_out_i8(out, (int)(v & 0x7f) | 0x80);
  tsh_out_i8(out, (int)v);
}
static inline void tsh_out_count(tsh_out *out, int64_t n, bool compact,
                                 bool is_short) {
  if (compact)
    tsh_out_uvarint(out, (uint32_t)(n + 1));
  else if (is_short)
    tsh_out_i16(out, (int)n);
  else
    tsh_out_i32(out, (int32_t)n);
}
static inline void tsh_out_sized(tsh_out *out, tsh_text text, bool compact,
                                 bool is_short) {
  tsh_out_count(out, text.data ? (int64_t)text.size : -1, compact, is_short);
  if (text.data)
    tsh_out_raw(out, text.data, text.size);
}
static inline void tsh_out_text(tsh_out *out, tsh_text text, bool compact) {
  tsh_out_sized(out, text, compact, true);
}
static inline void tsh_out_bytes(tsh_out *out, tsh_text text, bool compact) {
  tsh_out_sized(out, text, compact, false);
}
static inline void tsh_out_no_tags(tsh_out *out, bool compact) {
  if (compact)
    tsh_out_i8(out, 0);
}

/* Steps over the ends of topics to one that still has partitions. */
static inline void tsh_in_next_topic(tsh_in *in, tsh_topic_walk *walk) {
  while (walk->parts == 0 && walk->topics > 0 && !in->bad) {
    walk->topics--;
    if (walk->with_ids)
      walk->topic_id = tsh_in_take(in, 16);
    else
      walk->topic = tsh_in_text(in, walk->compact);
    walk->parts = tsh_in_count(in, walk->compact, false);
    if (walk->parts < 0)
      in->bad = true;
    if (walk->parts == 0 && walk->compact)
      tsh_in_skip_tags(in);
  }
}

#endif
