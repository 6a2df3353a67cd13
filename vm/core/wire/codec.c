/* The four compressions of Kafka, framed as its clients frame them: gzip
 * members, snappy raw or in xerial's blocks, LZ4 frames, zstd frames.
 *
 * Sizes inside compressed bytes are claims of a stranger: output grows as it
 * comes and never passes the caller's limit. */
#include "tranship/batch.h"

#include <lz4frame.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "batch_int.h"
#include "snappy.h"

enum {
  GZIP_WINDOW = 15 + 16,    /* largest window, gzip wrapping */
  XERIAL_HEADER = 16,       /* magic, version, compatible version */
  XERIAL_BLOCK = 32 * 1024, /* bytes before compression */
  XERIAL_VERSION = 1,
  FIRST_GUESS = 4, /* output per input byte at first */
  FIRST_LEAST = 4096,
  ZSTD_LEVEL = 3
};
static const uint8_t xerial_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

/* Where output goes; `size` bytes are in it. */
typedef struct sink {
  uint8_t **buffer;
  size_t *capacity;
  size_t size;
  size_t limit;
  tsh_err *err;
} sink;

static int over_limit(sink *out) {
  return tsh_err_set(out->err, TSH_LIMIT, "batch", 0,
                     "records pass the limit of %zu bytes", out->limit);
}

/* Makes room for at least one more byte; all of the room is usable. */
static int more_room(sink *out, size_t hint) {
  if (out->size < *out->capacity && out->size < out->limit)
    return 0;
  if (out->size >= out->limit)
    return over_limit(out);
  size_t need = out->size + (hint > 0 ? hint : 1);
  if (need > out->limit)
    need = out->limit;
  return tsh_batch__reserve(out->buffer, out->capacity, need, out->err);
}

static size_t room(const sink *out) {
  size_t end = *out->capacity < out->limit ? *out->capacity : out->limit;
  return end - out->size;
}

static int broken(tsh_err *err, tsh_codec codec) {
  return tsh_err_set(err, TSH_PROTOCOL, "batch", KAFKA_CORRUPT_MESSAGE,
                     "%s data does not decompress", tsh_codec_name(codec));
}

/* One or more gzip members. */
static int expand_gzip(const uint8_t *bytes, size_t size, sink *out) {
  z_stream z = {.next_in = (Bytef *)bytes, .avail_in = (uInt)size};
  if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
    return tsh_err_set(out->err, TSH_NO_MEMORY, "batch", 0, "out of memory");
  int status = 0;
  while (status == 0) {
    if ((status = more_room(out, 0)) != 0)
      break;
    size_t space = room(out);
    z.next_out = *out->buffer + out->size;
    z.avail_out = (uInt)space;
    int code = inflate(&z, Z_NO_FLUSH);
    out->size += space - z.avail_out;
    if (code == Z_STREAM_END) {
      if (z.avail_in == 0)
        break;
      inflateReset(&z);
    } else if (code != Z_OK || (z.avail_in == 0 && z.avail_out > 0)) {
      status = broken(out->err, TSH_CODEC_GZIP);
    }
  }
  inflateEnd(&z);
  return status;
}

static int expand_block(const uint8_t *bytes, size_t size, sink *out) {
  size_t expanded = 0;
  if (snappy_uncompressed_length((const char *)bytes, size, &expanded) !=
      SNAPPY_OK)
    return broken(out->err, TSH_CODEC_SNAPPY);
  if (expanded > out->limit - out->size)
    return over_limit(out);
  int status = tsh_batch__reserve(out->buffer, out->capacity,
                                  out->size + expanded, out->err);
  if (status != 0)
    return status;
  if (snappy_uncompress((const char *)bytes, size,
                        (char *)*out->buffer + out->size,
                        &expanded) != SNAPPY_OK)
    return broken(out->err, TSH_CODEC_SNAPPY);
  out->size += expanded;
  return 0;
}

/* Bare snappy, or blocks of it behind a magic, each after its length. */
static int expand_snappy(const uint8_t *bytes, size_t size, sink *out) {
  int status = tsh_wire__load_snappy(out->err);
  if (status != 0)
    return status;
  if (size < XERIAL_HEADER ||
      memcmp(bytes, xerial_magic, sizeof xerial_magic) != 0)
    return expand_block(bytes, size, out);
  size_t at = XERIAL_HEADER;
  while (at < size) {
    if (size - at < 4)
      return broken(out->err, TSH_CODEC_SNAPPY);
    size_t block = get32(bytes + at);
    at += 4;
    if (block > size - at)
      return broken(out->err, TSH_CODEC_SNAPPY);
    status = expand_block(bytes + at, block, out);
    if (status != 0)
      return status;
    at += block;
  }
  return 0;
}

static int expand_lz4(const uint8_t *bytes, size_t size, sink *out) {
  LZ4F_dctx *context = NULL;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
    return tsh_err_set(out->err, TSH_NO_MEMORY, "batch", 0, "out of memory");
  int status = 0;
  size_t at = 0, hint = 1;
  while (status == 0 && (at < size || hint != 0)) {
    if ((status = more_room(out, 0)) != 0)
      break;
    size_t produced = room(out), consumed = size - at;
    hint = LZ4F_decompress(context, *out->buffer + out->size, &produced,
                           bytes + at, &consumed, NULL);
    if (LZ4F_isError(hint) || (consumed == 0 && produced == 0))
      status = broken(out->err, TSH_CODEC_LZ4);
    else {
      at += consumed;
      out->size += produced;
    }
  }
  LZ4F_freeDecompressionContext(context);
  return status;
}

static int expand_zstd(const uint8_t *bytes, size_t size, sink *out) {
  ZSTD_DCtx *context = ZSTD_createDCtx();
  if (context == NULL)
    return tsh_err_set(out->err, TSH_NO_MEMORY, "batch", 0, "out of memory");
  ZSTD_inBuffer in = {.src = bytes, .size = size};
  int status = 0;
  size_t hint = 1;
  while (status == 0 && (in.pos < in.size || hint != 0)) {
    if ((status = more_room(out, 0)) != 0)
      break;
    ZSTD_outBuffer to = {.dst = *out->buffer + out->size, .size = room(out)};
    size_t before = in.pos;
    hint = ZSTD_decompressStream(context, &to, &in);
    if (ZSTD_isError(hint) || (in.pos == before && to.pos == 0))
      status = broken(out->err, TSH_CODEC_ZSTD);
    else
      out->size += to.pos;
  }
  ZSTD_freeDCtx(context);
  return status;
}

int tsh_codec_expand(tsh_codec codec, const uint8_t *bytes, size_t size,
                     size_t limit, uint8_t **buffer, size_t *capacity,
                     size_t *expanded, tsh_err *err) {
  sink out = {buffer, capacity, 0, limit, err};
  size_t guess = size < limit / FIRST_GUESS ? size * FIRST_GUESS : limit;
  if (guess < FIRST_LEAST)
    guess = FIRST_LEAST;
  int status = tsh_batch__reserve(buffer, capacity, guess, err);
  if (status != 0)
    return status;
  switch (codec) {
    case TSH_CODEC_GZIP:
      status = expand_gzip(bytes, size, &out);
      break;
    case TSH_CODEC_SNAPPY:
      status = expand_snappy(bytes, size, &out);
      break;
    case TSH_CODEC_LZ4:
      status = expand_lz4(bytes, size, &out);
      break;
    case TSH_CODEC_ZSTD:
      status = expand_zstd(bytes, size, &out);
      break;
    default:
      status = tsh_batch__bad(err, KAFKA_CORRUPT_MESSAGE, "unknown codec");
  }
  *expanded = out.size;
  return status;
}

static size_t pack_gzip(const uint8_t *bytes, size_t size, uint8_t *to,
                        size_t space) {
  z_stream z = {.next_in = (Bytef *)bytes,
                .avail_in = (uInt)size,
                .next_out = to,
                .avail_out = (uInt)space};
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    return 0;
  int code = deflate(&z, Z_FINISH);
  size_t packed = space - z.avail_out;
  deflateEnd(&z);
  return code == Z_STREAM_END ? packed : 0;
}

static size_t blocks_of(size_t size) {
  return (size + XERIAL_BLOCK - 1) / XERIAL_BLOCK;
}

static size_t pack_snappy(const uint8_t *bytes, size_t size, uint8_t *to,
                          size_t space) {
  memcpy(to, xerial_magic, sizeof xerial_magic);
  put32(to + 8, XERIAL_VERSION);
  put32(to + 12, XERIAL_VERSION);
  size_t packed = XERIAL_HEADER;
  for (size_t at = 0; at < size; at += XERIAL_BLOCK) {
    size_t block = size - at < XERIAL_BLOCK ? size - at : XERIAL_BLOCK;
    size_t length = space - packed - 4;
    if (snappy_compress((const char *)bytes + at, block,
                        (char *)to + packed + 4, &length) != SNAPPY_OK)
      return 0;
    put32(to + packed, (uint32_t)length);
    packed += 4 + length;
  }
  return packed;
}

/* Java's reader wants independent blocks. */
static const LZ4F_preferences_t lz4_frame = {
    .frameInfo = {.blockSizeID = LZ4F_max64KB,
                  .blockMode = LZ4F_blockIndependent}};

static size_t most(tsh_codec codec, size_t size) {
  switch (codec) {
    case TSH_CODEC_GZIP:
      return compressBound((uLong)size) + 32;
    case TSH_CODEC_SNAPPY:
      return XERIAL_HEADER +
             blocks_of(size) * (4 + snappy_max_compressed_length(XERIAL_BLOCK));
    case TSH_CODEC_LZ4:
      return LZ4F_compressFrameBound(size, &lz4_frame);
    case TSH_CODEC_ZSTD:
      return ZSTD_compressBound(size);
    default:
      return size;
  }
}

int tsh_codec_compress(tsh_codec codec, const uint8_t *bytes, size_t size,
                       size_t keep, uint8_t **buffer, size_t *capacity,
                       size_t *compressed, tsh_err *err) {
  int status = codec == TSH_CODEC_SNAPPY ? tsh_wire__load_snappy(err) : 0;
  if (status != 0)
    return status;
  size_t space = most(codec, size), packed = 0;
  status = tsh_batch__reserve(buffer, capacity, keep + space, err);
  if (status != 0)
    return status;
  uint8_t *to = *buffer + keep;
  switch (codec) {
    case TSH_CODEC_NONE:
      memcpy(to, bytes, size);
      packed = size;
      break;
    case TSH_CODEC_GZIP:
      packed = pack_gzip(bytes, size, to, space);
      break;
    case TSH_CODEC_SNAPPY:
      packed = pack_snappy(bytes, size, to, space);
      break;
    case TSH_CODEC_LZ4:
      packed = LZ4F_compressFrame(to, space, bytes, size, &lz4_frame);
      packed = LZ4F_isError(packed) ? 0 : packed;
      break;
    case TSH_CODEC_ZSTD:
      packed = ZSTD_compress(to, space, bytes, size, ZSTD_LEVEL);
      packed = ZSTD_isError(packed) ? 0 : packed;
      break;
  }
  *compressed = packed;
  if (packed == 0 && size > 0)
    return tsh_err_set(err, TSH_NO_MEMORY, "batch", 0, "%s compression failed",
                       tsh_codec_name(codec));
  return 0;
}

const char *tsh_codec_name(tsh_codec codec) {
  static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
  return (unsigned)codec < sizeof names / sizeof *names ? names[codec] : "?";
}
