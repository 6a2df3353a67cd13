/* A message out of thin air: every value follows from the field, its index in
 * a list and a seed, so that a reader can check each one without a copy. */
#ifndef TRANSHIP_TEST_WIRE_GEN_H
#define TRANSHIP_TEST_WIRE_GEN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../../vm/core/wire/proto_fields.h"
#include "tranship/proto.h"

typedef struct gen {
  uint64_t seed;
  int version;
  char text[64];
} gen;

static inline uint64_t gen_number(const gen *g, const tsh_field *field,
                                  int64_t index) {
  uint64_t h = g->seed * 0x9e3779b97f4a7c15u + (uint64_t)index + 1;
  for (const char *c = field->name; *c; c++)
    h = (h ^ (uint8_t)*c) * 0x100000001b3u;
  h ^= h >> 29;
  h *= 0xbf58476d1ce4e5b9u;
  return h ^ h >> 32;
}

static inline bool gen_null(const gen *g, const tsh_field *field) {
  return tsh_field_nullable(field, g->version) &&
         gen_number(g, field, -7) % 4 == 0;
}

static inline int64_t gen_count(const gen *g, const tsh_field *field) {
  return gen_null(g, field) ? -1 : (int64_t)(gen_number(g, field, -9) % 4);
}

static inline bool gen_has(const gen *g, const tsh_field *field) {
  if (!tsh_field_in(field, g->version))
    return false;
  return !tsh_field_tagged(field, g->version) ||
         gen_number(g, field, -8) % 3 != 0;
}

static inline void gen_value(gen *g, const tsh_field *field, int64_t index,
                             tsh_value *out) {
  uint64_t n = gen_number(g, field, index);
  memset(out, 0, sizeof *out);
  switch (field->type) {
    case TSH_F_BOOL:
      out->integer = n & 1;
      break;
    case TSH_F_I8:
      out->integer = (int8_t)n;
      break;
    case TSH_F_I16:
      out->integer = (int16_t)n;
      break;
    case TSH_F_I32:
      out->integer = (int32_t)n;
      break;
    case TSH_F_I64:
      out->integer = (int64_t)n;
      break;
    case TSH_F_F64:
      out->real = (double)(int32_t)n / 4;
      break;
    default:
      for (size_t i = 0; i < sizeof g->text; i++)
        g->text[i] = (char)(n >> (i % 8 * 8));
      out->null = field->type != TSH_F_UUID && index < 0 && gen_null(g, field);
      out->bytes.size = field->type == TSH_F_UUID ? 16 : n % 60;
      out->bytes.data = out->null ? NULL : g->text;
      if (out->null)
        out->bytes.size = 0;
  }
  if (field->never)
    out->integer = field->preset;
}

static inline int gen_enter(void *user, const tsh_field *field, int64_t index,
                            int64_t *count, tsh_err *err) {
  gen *g = user;
  (void)err;
  if (index < 0 && (!gen_has(g, field) || gen_null(g, field)))
    return 0;
  if (count)
    *count = gen_count(g, field);
  return 1;
}

static inline void gen_leave(void *user, const tsh_field *field) {
  (void)user, (void)field;
}

static inline int gen_ask(void *user, const tsh_field *field, int64_t index,
                          tsh_value *out, tsh_err *err) {
  gen *g = user;
  (void)err;
  if (index < 0 && !gen_has(g, field))
    return 0;
  gen_value(g, field, index, out);
  return 1;
}

static inline tsh_source gen_source(gen *g) {
  return (tsh_source){g, gen_enter, gen_leave, gen_ask};
}

/* "Responses/Partitions/ErrorCode" */
static inline const tsh_field *gen_find(const tsh_field *fields,
                                        const char *path) {
  size_t n = strcspn(path, "/");
  for (; fields->name; fields++)
    if (strlen(fields->name) == n && memcmp(fields->name, path, n) == 0)
      return path[n] ? gen_find(fields->fields, path + n + 1) : fields;
  return NULL;
}

#endif
