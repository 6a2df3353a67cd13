/* The offset map against a plain table of every single offset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tranship/offsets.h"

enum { SPAN = 4000 };

static uint32_t seed = 20261123;
static int pick(int below) {
  seed = seed * 1664525u + 1013904223u;
  return (int)((seed >> 8) % (uint32_t)below);
}

static int64_t target_of(tsh_offsets *map, int64_t source, tsh_found want) {
  int64_t target = -1;
  assert_int_equal(tsh_offsets_lookup(map, source, &target), want);
  return target;
}

static void positions_go_where_they_must(void **state) {
  (void)state;
  tsh_offsets *map = tsh_offsets_new(100, 7);
  int64_t source;
  assert_int_equal(target_of(map, 100, TSH_FOUND_END), 7);
  target_of(map, 101, TSH_FOUND_BEHIND);
  target_of(map, 99, TSH_FOUND_BEFORE);
  assert_int_equal(tsh_offsets_append(map, 105, 7, 10, NULL), 0);
  assert_int_equal(tsh_offsets_append(map, 116, 17, 4, NULL), 0);
  assert_int_equal(target_of(map, 100, TSH_FOUND_NEXT), 7);
  assert_int_equal(target_of(map, 105, TSH_FOUND_EXACT), 7);
  assert_int_equal(target_of(map, 114, TSH_FOUND_EXACT), 16);
  assert_int_equal(target_of(map, 115, TSH_FOUND_NEXT), 17);
  assert_int_equal(target_of(map, 119, TSH_FOUND_EXACT), 20);
  assert_int_equal(target_of(map, 120, TSH_FOUND_END), 21);
  target_of(map, 121, TSH_FOUND_BEHIND);
  tsh_offsets_reach(map, 130, 25); /* markers and aborted data */
  assert_int_equal(target_of(map, 121, TSH_FOUND_END), 21);
  assert_int_equal(target_of(map, 130, TSH_FOUND_END), 21);
  target_of(map, 131, TSH_FOUND_BEHIND);
  assert_int_equal(tsh_offsets_reverse(map, 16, &source), TSH_FOUND_EXACT);
  assert_int_equal(source, 114);
  assert_int_equal(tsh_offsets_reverse(map, 17, &source), TSH_FOUND_EXACT);
  assert_int_equal(source, 116);
  assert_int_equal(tsh_offsets_reverse(map, 23, &source), TSH_FOUND_END);
  assert_int_equal(source, 120);
  assert_int_equal(tsh_offsets_reverse(map, 26, &source), TSH_FOUND_BEHIND);
  assert_int_equal(tsh_offsets_reverse(map, 6, &source), TSH_FOUND_BEFORE);
  tsh_offsets_free(map);
}

static void runs_join(void **state) {
  (void)state;
  tsh_offsets *map = tsh_offsets_new(0, 0);
  for (int i = 0; i < 100; i++)
    assert_int_equal(tsh_offsets_append(map, i * 10, i * 10, 10, NULL), 0);
  assert_int_equal(tsh_offsets_count(map), 1);
  assert_int_equal(tsh_offsets_append(map, 500, 500, 100, NULL), 0);
  assert_int_equal(tsh_offsets_append(map, 990, 990, 30, NULL), 0);
  assert_int_equal(tsh_offsets_append(map, 2000, 1020, 1, NULL), 0);
  assert_int_equal(tsh_offsets_count(map), 2);
  tsh_segment first = tsh_offsets_at(map, 0);
  assert_true(first.source == 0 && first.target == 0 && first.count == 1020);
  tsh_offsets_free(map);
}

static void other_stories_are_conflicts(void **state) {
  (void)state;
  static const tsh_segment wrong[] = {
      {100, 101, 10}, {100, 100, 11}, {95, 100, 10}, {109, 109, 2},
      {110, 109, 1},  {130, 119, 5},  {120, 115, 5}, {90, 95, 10},
      {0, 5, 3},      {99, 110, 1},
  };
  tsh_offsets *map = tsh_offsets_new(10, 10);
  assert_int_equal(tsh_offsets_append(map, 100, 100, 10, NULL), 0);
  assert_int_equal(tsh_offsets_append(map, 120, 110, 10, NULL), 0);
  assert_int_equal(tsh_offsets_append(map, 100, 100, 11, NULL), TSH_CONFLICT);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    tsh_err err;
    assert_int_equal(tsh_offsets_append(map, wrong[i].source, wrong[i].target,
                                        wrong[i].count, &err),
                     TSH_CONFLICT);
  }
  assert_int_equal(tsh_offsets_append(map, 1, 1, -1, NULL), TSH_INVALID);
  assert_int_equal(tsh_offsets_append(map, INT64_MAX, 1, 1, NULL), TSH_INVALID);
  assert_int_equal(tsh_offsets_count(map), 2);
  tsh_offsets_free(map);
}

/* A random history, told in shuffled and overlapping pieces. */
static void pieces_in_any_order_make_the_same_map(void **state) {
  (void)state;
  for (int round = 0; round < 20; round++) {
    static int64_t where[SPAN];
    tsh_segment pieces[SPAN];
    int count = 0;
    int64_t target = 50;
    for (int source = 0; source < SPAN;) {
      int gap = pick(3), run = 1 + pick(40);
      for (; gap > 0 && source < SPAN; gap--)
        where[source++] = -1;
      target += pick(2);
      for (; run > 0 && source < SPAN; run--) {
        where[source] = target;
        pieces[count++] = (tsh_segment){source++, target++, 1};
      }
    }
    for (int i = 0; i < count; i++) { /* longer pieces, where they agree */
      int more = pick(20);
      while (more-- > 0 && pieces[i].source + pieces[i].count < SPAN &&
             where[pieces[i].source + pieces[i].count] ==
                 pieces[i].target + pieces[i].count)
        pieces[i].count++;
    }
    for (int i = count - 1; i > 0; i--) {
      int j = pick(i + 1);
      tsh_segment swap = pieces[i];
      pieces[i] = pieces[j];
      pieces[j] = swap;
    }
    tsh_offsets *map = tsh_offsets_new(0, 50);
    for (int i = 0; i < count; i++)
      assert_int_equal(tsh_offsets_append(map, pieces[i].source,
                                          pieces[i].target, pieces[i].count,
                                          NULL),
                       0);
    uint8_t *bytes;
    size_t size;
    assert_int_equal(tsh_offsets_save(map, &bytes, &size, NULL), 0);
    tsh_offsets *copy;
    assert_int_equal(tsh_offsets_load(&copy, bytes, size, NULL), 0);
    for (int source = SPAN - 1; source >= 0; source--) {
      int64_t got, back;
      tsh_found found = tsh_offsets_lookup(copy, source, &got);
      if (where[source] >= 0) {
        assert_int_equal(found, TSH_FOUND_EXACT);
        assert_true(got == where[source]);
        assert_int_equal(tsh_offsets_reverse(copy, got, &back),
                         TSH_FOUND_EXACT);
        assert_true(back == source);
        target = got;
      } else if (found == TSH_FOUND_NEXT) {
        assert_true(got == target);
      } else if (found == TSH_FOUND_END) { /* just behind the last one */
        assert_true(got == target && where[source - 1] == target - 1);
      } else {
        assert_int_equal(found, TSH_FOUND_BEHIND);
      }
    }
    free(bytes);
    tsh_offsets_free(copy);
    tsh_offsets_free(map);
  }
}

static void damaged_maps_are_refused(void **state) {
  (void)state;
  tsh_offsets *map = tsh_offsets_new(9007199254740993, 5), *copy;
  assert_int_equal(tsh_offsets_append(map, 9007199254740995, 6, 1000000, NULL),
                   0);
  tsh_offsets_reach(map, 9007199255740999, 1000010);
  uint8_t *bytes;
  size_t size;
  assert_int_equal(tsh_offsets_save(map, &bytes, &size, NULL), 0);
  for (size_t i = 0; i < size; i++) {
    tsh_err err;
    assert_int_equal(tsh_offsets_load(&copy, bytes, i, &err), TSH_PROTOCOL);
    bytes[i] ^= 0x41;
    assert_int_equal(tsh_offsets_load(&copy, bytes, size, &err), TSH_PROTOCOL);
    bytes[i] ^= 0x41;
  }
  assert_int_equal(tsh_offsets_load(&copy, bytes, size, NULL), 0);
  int64_t target;
  assert_int_equal(tsh_offsets_lookup(copy, 9007199254740996, &target),
                   TSH_FOUND_EXACT);
  assert_int_equal(target, 7);
  assert_int_equal(tsh_offsets_lookup(copy, 9007199255740999, &target),
                   TSH_FOUND_END);
  free(bytes);
  tsh_offsets_free(copy);
  tsh_offsets_free(map);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(positions_go_where_they_must),
      cmocka_unit_test(runs_join),
      cmocka_unit_test(other_stories_are_conflicts),
      cmocka_unit_test(pieces_in_any_order_make_the_same_map),
      cmocka_unit_test(damaged_maps_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
