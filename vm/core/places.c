/* The maps of many partitions behind one question: a small hash table by topic
 * and partition. */
#include "tranship/places.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

typedef struct part {
  char *topic; /* and the name there, behind it */
  size_t length;
  const char *topic_there;
  int32_t partition;
  tsh_offsets *map; /* NULL: a slot that says the topic is known */
  int64_t first_there;
  int64_t foreign, foreign_end;
  bool left_out;
} part;

enum { ANY_PARTITION = -1, FIRST_SLOTS = 64 };

struct tsh_places {
  bool back;
  bool records;
  part *slots;
  size_t count;
  size_t capacity; /* a power of two, or 0 */
};

const char *tsh_place_name(tsh_place place) {
  static const char *const names[] = {"exact",
                                      "hole",
                                      "end",
                                      "not mirrored yet",
                                      "below the log start",
                                      "below where copying began",
                                      "removed on the other side",
                                      "foreign record",
                                      "unknown partition",
                                      "unknown topic",
                                      "no position"};
  return names[place];
}

tsh_places *tsh_places_new(bool back, bool records) {
  tsh_places *places = calloc(1, sizeof *places);
  if (places != NULL) {
    places->back = back;
    places->records = records;
  }
  return places;
}

void tsh_places_free(tsh_places *places) {
  if (places == NULL)
    return;
  for (size_t i = 0; i < places->capacity; i++) {
    free(places->slots[i].topic);
    tsh_offsets_free(places->slots[i].map);
  }
  free(places->slots);
  free(places);
}

bool tsh_places_is_given(const tsh_places *places, tsh_place how) {
  return how == TSH_PLACE_EXACT || (!places->records && how <= TSH_PLACE_END);
}

/* --- the table --- */

static part *slot_of(part *slots, size_t capacity, const char *topic,
                     size_t length, int64_t partition) {
  size_t mask = capacity - 1;
  size_t at = XXH3_64bits_withSeed(topic, length, (XXH64_hash_t)partition);
  for (at &= mask; slots[at].topic != NULL; at = (at + 1) & mask)
    if (slots[at].partition == partition && slots[at].length == length &&
        memcmp(slots[at].topic, topic, length) == 0)
      break;
  return &slots[at];
}

static int no_memory(tsh_err *err) {
  return tsh_err_set(err, TSH_NO_MEMORY, "places", 0, "no memory for places");
}

static int make_room(tsh_places *places, tsh_err *err) {
  if (2 * (places->count + 2) <= places->capacity)
    return 0;
  size_t capacity = places->capacity ? 2 * places->capacity : FIRST_SLOTS;
  part *slots = calloc(capacity, sizeof *slots);
  if (slots == NULL)
    return no_memory(err);
  for (size_t i = 0; i < places->capacity; i++) {
    const part *old = &places->slots[i];
    if (old->topic != NULL)
      *slot_of(slots, capacity, old->topic, old->length, old->partition) = *old;
  }
  free(places->slots);
  places->slots = slots;
  places->capacity = capacity;
  return 0;
}

static int put(tsh_places *places, const tsh_place_part *told,
               int32_t partition, tsh_offsets *map, tsh_err *err) {
  size_t length = strlen(told->topic), there = strlen(told->topic_there);
  part *slot =
      slot_of(places->slots, places->capacity, told->topic, length, partition);
  if (slot->topic == NULL) {
    char *text = malloc(length + there + 2);
    if (text == NULL)
      return no_memory(err);
    memcpy(text, told->topic, length + 1);
    memcpy(text + length + 1, told->topic_there, there + 1);
    slot->topic = text;
    slot->topic_there = text + length + 1;
    places->count++;
  } else {
    tsh_offsets_free(slot->map);
  }
  slot->length = length;
  slot->partition = partition;
  slot->map = map;
  slot->first_there = told->first_there;
  slot->foreign = told->foreign;
  slot->foreign_end = told->foreign_end;
  slot->left_out = told->left_out;
  return 0;
}

int tsh_places_add(tsh_places *places, const tsh_place_part *told,
                   tsh_err *err) {
  int status = make_room(places, err);
  if (status == 0)
    status = put(places, told, ANY_PARTITION, NULL, err);
  if (status == 0)
    status = put(places, told, told->partition, told->map, err);
  if (status != 0)
    tsh_offsets_free(told->map);
  return status;
}

/* --- the question --- */

static tsh_place look(const tsh_places *places, const part *at, int64_t offset,
                      int64_t *out) {
  static const tsh_place meaning[] = {
      [TSH_FOUND_EXACT] = TSH_PLACE_EXACT,
      [TSH_FOUND_NEXT] = TSH_PLACE_HOLE,
      [TSH_FOUND_END] = TSH_PLACE_END,
      [TSH_FOUND_BEHIND] = TSH_PLACE_AHEAD,
      [TSH_FOUND_BEFORE] = TSH_PLACE_BELOW,
  };
  if (offset < 0)
    return TSH_PLACE_UNREADABLE;
  if (offset >= at->foreign && offset < at->foreign_end)
    return TSH_PLACE_FOREIGN;
  tsh_place how =
      meaning[places->back ? tsh_offsets_reverse(at->map, offset, out)
                           : tsh_offsets_lookup(at->map, offset, out)];
  if (how <= TSH_PLACE_END && *out < at->first_there)
    return TSH_PLACE_GONE;
  return how == TSH_PLACE_BELOW && at->left_out ? TSH_PLACE_LEFT_OUT : how;
}

tsh_place_answer tsh_places_find(const tsh_places *places, const char *topic,
                                 size_t length, int64_t partition,
                                 int64_t offset) {
  tsh_place_answer answer = {.how = TSH_PLACE_TOPIC, .offset = -1};
  if (places->capacity == 0)
    return answer;
  const part *any =
      slot_of(places->slots, places->capacity, topic, length, ANY_PARTITION);
  if (any->topic == NULL)
    return answer;
  answer.topic_there = any->topic_there;
  answer.how = TSH_PLACE_PARTITION;
  const part *at =
      slot_of(places->slots, places->capacity, topic, length, partition);
  if (partition >= 0 && at->topic != NULL)
    answer.how = look(places, at, offset, &answer.offset);
  return answer;
}
