/* CRC32C (Castagnoli, reflected polynomial 82F63B78).
 *
 * Three ways to the same number: the SSE4.2 instruction on three interleaved
 * streams, a table for machines without it, and a shift that appends zeros in
 * O(log n), which is what lets a batch's checksum follow a changed header
 * without reading the payload. Tables are filled before main. */
#include "tranship/batch.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define HAVE_SSE42 1
#endif

enum {
  POLYNOMIAL_BITS = 32,
  SLICES = 8,    /* bytes a table step eats */
  DIGITS = 16,   /* hexadecimal digits of a 64-bit length */
  STREAM = 2048, /* bytes of one interleaved stream */
  STREAMS = 3
};
static const uint32_t polynomial = 0x82F63B78u;

static uint32_t slice[SLICES][256];
static uint32_t power[DIGITS][16];    /* x^(8 * digit * 16^place) */
static uint32_t stream_shift[4][256]; /* a state's bytes, STREAM zeros on */
static uint32_t (*feed)(uint32_t, const uint8_t *, size_t);

/* a * b modulo the polynomial; bit 31 stands for x^0. */
static uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (; a != 0; a <<= 1) {
    if (a & 0x80000000u)
      product ^= b;
    b = (b >> 1) ^ (b & 1 ? polynomial : 0);
  }
  return product;
}

uint32_t tsh_crc32c_shift(uint32_t state, uint64_t zeros) {
  for (int place = 0; zeros != 0; place++, zeros >>= 4)
    if (zeros & 15)
      state = multiply(power[place][zeros & 15], state);
  return state;
}

static uint32_t feed_table(uint32_t state, const uint8_t *at, size_t size) {
  for (; size >= SLICES; at += SLICES, size -= SLICES) {
    uint32_t low = state ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 |
                            (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
    state = slice[7][low & 255] ^ slice[6][low >> 8 & 255] ^
            slice[5][low >> 16 & 255] ^ slice[4][low >> 24] ^ slice[3][at[4]] ^
            slice[2][at[5]] ^ slice[1][at[6]] ^ slice[0][at[7]];
  }
  while (size-- > 0)
    state = state >> 8 ^ slice[0][(state ^ *at++) & 255];
  return state;
}

#ifdef HAVE_SSE42
static uint64_t load(const uint8_t *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

static uint32_t past_stream(uint32_t state) {
  return stream_shift[0][state & 255] ^ stream_shift[1][state >> 8 & 255] ^
         stream_shift[2][state >> 16 & 255] ^ stream_shift[3][state >> 24];
}

/* The instruction has a latency of three cycles and a throughput of one, so
 * three independent streams keep it busy. */
__attribute__((target("sse4.2"))) static uint32_t
feed_sse42(uint32_t state, const uint8_t *at, size_t size) {
  for (; size >= STREAMS * STREAM; size -= STREAMS * STREAM) {
    uint64_t a = state, b = 0, c = 0;
    for (size_t i = 0; i < STREAM; i += 8) {
      a = _mm_crc32_u64(a, load(at + i));
      b = _mm_crc32_u64(b, load(at + STREAM + i));
      c = _mm_crc32_u64(c, load(at + 2 * STREAM + i));
    }
    state = past_stream(past_stream((uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)c;
    at += STREAMS * STREAM;
  }
  uint64_t wide = state;
  for (; size >= 8; at += 8, size -= 8)
    wide = _mm_crc32_u64(wide, load(at));
  state = (uint32_t)wide;
  while (size-- > 0)
    state = _mm_crc32_u8(state, *at++);
  return state;
}
#endif

static void fill_slices(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t state = byte;
    for (int bit = 0; bit < 8; bit++)
      state = (state >> 1) ^ (state & 1 ? polynomial : 0);
    slice[0][byte] = state;
  }
  for (int i = 1; i < SLICES; i++)
    for (int byte = 0; byte < 256; byte++)
      slice[i][byte] =
          slice[i - 1][byte] >> 8 ^ slice[0][slice[i - 1][byte] & 255];
}

static void fill_powers(void) {
  uint32_t unit = 1u << (POLYNOMIAL_BITS - 1 - 8); /* x^8 */
  for (int place = 0; place < DIGITS; place++) {
    power[place][0] = 0x80000000u; /* x^0 */
    for (int digit = 1; digit < 16; digit++)
      power[place][digit] = multiply(power[place][digit - 1], unit);
    unit = multiply(power[place][15], unit);
  }
  for (uint32_t byte = 0; byte < 256; byte++)
    for (int i = 0; i < 4; i++)
      stream_shift[i][byte] = tsh_crc32c_shift(byte << (8 * i), STREAM);
}

__attribute__((constructor)) static void fill_tables(void) {
  fill_slices();
  fill_powers();
  feed = feed_table;
#ifdef HAVE_SSE42
  if (__builtin_cpu_supports("sse4.2"))
    feed = feed_sse42;
#endif
}

uint32_t tsh_crc32c_raw(uint32_t state, const void *bytes, size_t size) {
  return feed(state, bytes, size);
}

uint32_t tsh_crc32c_table(uint32_t state, const void *bytes, size_t size) {
  return feed_table(state, bytes, size);
}

uint32_t tsh_crc32c(uint32_t crc, const void *bytes, size_t size) {
  return ~feed(~crc, bytes, size);
}
