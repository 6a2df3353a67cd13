/* Fuzzing of what is read from files: saved maps, and rows of text whose
 * positions are translated.
 *
 * The first byte chooses what the rest is. A map that loads answers any
 * question and is the same after it was saved; rows come out the same however
 * their bytes were cut up on the way in. */
#include <stdlib.h>
#include <string.h>

#include "tranship/batch.h"
#include "tranship/places.h"

enum {
  REPAIR = 1,
  ROWS = 2,
  JSON = 4,
  NO_HEAD = 8,
  NOTE = 16,
  MOST_OUT = 1 << 20
};

static void need(int is_true) {
  if (!is_true)
    abort();
}

/* --- maps ------------------------------------------------------------------
 */

static void ask(const tsh_offsets *map, int64_t offset) {
  int64_t there = -1, back = -1;
  if (tsh_offsets_lookup(map, offset, &there) == TSH_FOUND_EXACT)
    need(tsh_offsets_reverse(map, there, &back) == TSH_FOUND_EXACT &&
         back == offset);
}

static void read_map(uint8_t *bytes, size_t size, bool repair) {
  tsh_offsets *map, *again;
  uint8_t *saved;
  size_t saved_size;
  if (repair && size >= 8) {
    uint32_t crc;
    memcpy(bytes, "TSM\1", 4);
    crc = tsh_crc32c(0, bytes, size - 4);
    for (int i = 1; i <= 4; i++, crc >>= 8)
      bytes[size - (size_t)i] = (uint8_t)crc;
  }
  int status = tsh_offsets_load(&map, bytes, size, NULL);
  need(status == 0 || status == TSH_PROTOCOL || status == TSH_CONFLICT ||
       status == TSH_INVALID);
  if (status != 0)
    return;
  for (size_t i = 0; i < tsh_offsets_count(map); i++) {
    tsh_segment at = tsh_offsets_at(map, i);
    need(at.count > 0);
    ask(map, at.source);
    ask(map, at.source + at.count - 1);
    ask(map, at.source + at.count);
  }
  ask(map, INT64_MAX);
  need(tsh_offsets_save(map, &saved, &saved_size, NULL) == 0);
  need(tsh_offsets_load(&again, saved, saved_size, NULL) == 0);
  need(tsh_offsets_count(again) == tsh_offsets_count(map));
  free(saved);
  tsh_offsets_free(again);
  tsh_offsets_free(map);
}

/* --- rows ------------------------------------------------------------------
 */

static tsh_places *make_places(void) {
  tsh_places *places = tsh_places_new(false, false);
  tsh_place_part part = {
      .topic = "t", .topic_there = "u", .map = tsh_offsets_new(0, 0)};
  need(places != NULL && part.map != NULL);
  need(tsh_offsets_append(part.map, 5, 50, 100, NULL) == 0);
  need(tsh_places_add(places, &part, NULL) == 0);
  return places;
}

static int translate(int how, const char *bytes, size_t size, size_t piece,
                     tsh_buf *out) {
  tsh_rows_spec spec = {.json = how & JSON,
                        .delimiter = ',',
                        .no_head = how & NO_HEAD,
                        .topic = how & NO_HEAD ? "1" : "t",
                        .partition = how & NO_HEAD ? "2" : "p",
                        .offset = how & NO_HEAD ? "3" : "o",
                        .all_partition = -1,
                        .note = how & NOTE ? "why" : NULL};
  tsh_rows *rows = tsh_rows_new(&spec, make_places(), NULL);
  int status = 0;
  need(rows != NULL);
  tsh_buf_init(out, MOST_OUT);
  size_t at = 0, n;
  do {
    n = size - at < piece ? size - at : piece;
    status = tsh_rows_feed(rows, bytes + at, n, at + n == size, out, NULL);
    at += n;
  } while (status == 0 && at < size);
  tsh_rows_free(rows);
  return status;
}

static void read_rows(int how, const char *bytes, size_t size, size_t piece) {
  tsh_buf whole, cut;
  int at_once = translate(how, bytes, size, size, &whole);
  int bit_by_bit = translate(how, bytes, size, piece, &cut);
  need(at_once == 0 || at_once == TSH_INVALID);
  need(at_once == bit_by_bit);
  if (at_once == 0)
    need(whole.length == cut.length &&
         memcmp(tsh_buf_text(&whole), tsh_buf_text(&cut), cut.length) == 0);
  tsh_buf_fini(&whole);
  tsh_buf_fini(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  uint8_t *bytes = malloc(size - 2 ? size - 2 : 1); /* no byte beyond */
  need(bytes != NULL);
  memcpy(bytes, data + 2, size - 2);
  if (data[0] & ROWS)
    read_rows(data[0], (const char *)bytes, size - 2, 1 + data[1] % 32);
  else
    read_map(bytes, size - 2, data[0] & REPAIR);
  free(bytes);
  return 0;
}
