/* How the table of messages is written down (proto_log.c and its siblings).
 *
 *   F(I32, LeaderEpoch, 4, .preset = -1)   a field, since version 4
 *   LIST(STRUCT, Topics, 0, FIELDS(...))   a list of structs, nested in place
 *   .gone = 4        the first version without it
 *   NULL_FROM(2)     may be null from version 2 on
 *   TAG(0, 12)       a tagged field with tag 0 from version 12 on
 *   .preset = -1     written when the caller gives nothing (else 0, null
 *                    where allowed, or empty)
 *   .never = true    always written as its preset: tranship refuses to ask */
#ifndef TRANSHIP_PROTO_FIELDS_H
#define TRANSHIP_PROTO_FIELDS_H

#include "tranship/proto.h"

#define F(type_, name_, ...)                                                   \
  { .name = #name_, .type = TSH_F_##type_, .since = __VA_ARGS__ }
#define LIST(type_, name_, ...)                                                \
  { .name = #name_, .type = TSH_F_##type_, .list = true, .since = __VA_ARGS__ }
#define FIELDS(...)                                                            \
  .fields = (const tsh_field[]) { __VA_ARGS__, END }
#define NULL_FROM(version) .null_from = (version) + 1
#define TAG(number, version) .tag = (number) + 1, .tag_from = (version)
#define END                                                                    \
  { 0 }

#define NEVER INT16_MAX
#define READ false
#define WRITE true
#define MESSAGE(name_, key_, min_, max_, flexible_, version_, class_, fields_) \
  {                                                                            \
    .name = #name_, .api_key = key_, .min = min_, .max = max_,                 \
    .flexible = flexible_, .version = version_, .writes = class_,              \
    .request = fields_##_request, .response = fields_##_response               \
  }

extern const tsh_message tsh_wire__log[], tsh_wire__txn[], tsh_wire__groups[],
    tsh_wire__cluster[];

static inline bool tsh_field_in(const tsh_field *field, int version) {
  return version >= field->since && (!field->gone || version < field->gone);
}
static inline bool tsh_field_tagged(const tsh_field *field, int version) {
  return field->tag && version >= field->tag_from;
}
static inline bool tsh_field_nullable(const tsh_field *field, int version) {
  return field->null_from && version >= field->null_from - 1;
}

#endif
