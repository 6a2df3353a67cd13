/* Writing a message by its list of fields, from whatever a source holds.
 *
 * The source is walked twice: to count and check, then to write into one
 * block of that size. */
#include <assert.h>
#include <stdlib.h>

#include "bytes.h"
#include "proto_fields.h"

typedef struct walk {
  tsh_out out;
  const tsh_source *from;
  const tsh_message *msg;
  tsh_err *err;
  int version;
  bool flexible;
} walk;

static int write_struct(walk *w, const tsh_field *fields);

static int refuse(walk *w, const tsh_field *field, const char *why) {
  return tsh_err_set(w->err, TSH_INVALID, "wire", 0, "%s v%d: %s %s",
                     w->msg->name, w->version, field->name, why);
}

static const struct {
  int64_t low, high;
} ranges[] = {[TSH_F_BOOL] = {0, 1},
              [TSH_F_I8] = {INT8_MIN, INT8_MAX},
              [TSH_F_I16] = {INT16_MIN, INT16_MAX},
              [TSH_F_I32] = {INT32_MIN, INT32_MAX},
              [TSH_F_I64] = {INT64_MIN, INT64_MAX}};

static int write_number(walk *w, const tsh_field *field, int64_t v) {
  if (v < ranges[field->type].low || v > ranges[field->type].high)
    return refuse(w, field, "is out of its range");
  switch (field->type) {
    case TSH_F_I16:
      tsh_out_i16(&w->out, (int)v);
      break;
    case TSH_F_I32:
      tsh_out_i32(&w->out, (int32_t)v);
      break;
    case TSH_F_I64:
      tsh_out_i64(&w->out, v);
      break;
    default:
      tsh_out_i8(&w->out, (int)v);
      break;
  }
  return 0;
}

static int write_bytes(walk *w, const tsh_field *field,
                       const tsh_value *value) {
  bool is_text = field->type == TSH_F_TEXT;
  size_t longest = is_text && !w->flexible ? INT16_MAX : INT32_MAX - 1;
  tsh_text bytes = value->bytes;
  if (value->null && !tsh_field_nullable(field, w->version))
    return refuse(w, field, "may not be null");
  if (value->null)
    bytes = (tsh_text){NULL, 0};
  else if (!bytes.data)
    bytes = (tsh_text){"", 0};
  if (bytes.size > longest)
    return refuse(w, field, "is too long");
  tsh_out_sized(&w->out, bytes, w->flexible, is_text);
  return 0;
}

static int write_value(walk *w, const tsh_field *field,
                       const tsh_value *value) {
  static const uint8_t zero_id[16];
  int64_t bits;
  switch (field->type) {
    case TSH_F_F64:
      memcpy(&bits, &value->real, sizeof bits);
      tsh_out_i64(&w->out, bits);
      return 0;
    case TSH_F_UUID:
      if (value->bytes.data && value->bytes.size != sizeof zero_id)
        return refuse(w, field, "must have 16 bytes");
      tsh_out_raw(&w->out,
                  value->bytes.data ? (const void *)value->bytes.data : zero_id,
                  sizeof zero_id);
      return 0;
    case TSH_F_TEXT:
    case TSH_F_BYTES:
      return write_bytes(w, field, value);
    default:
      return write_number(w, field, value->integer);
  }
}

/* What stands for a field that the source does not hold. */
static tsh_value absent(const walk *w, const tsh_field *field) {
  return (tsh_value){.null = tsh_field_nullable(field, w->version),
                     .integer = field->preset,
                     .real = (double)field->preset};
}

static int write_plain(walk *w, const tsh_field *field, int64_t index) {
  tsh_value value = absent(w, field);
  int status = w->from->value(w->from->user, field, index, &value, w->err);
  if (status < 0)
    return status;
  if (status == 0 && index >= 0)
    return refuse(w, field, "has a hole");
  if (status == 0)
    value = absent(w, field);
  if (field->never && value.integer != field->preset)
    return refuse(w, field, "is never asked for");
  return write_value(w, field, &value);
}

static int write_items(walk *w, const tsh_field *field, int64_t count) {
  int status = 0;
  if (count > INT32_MAX - 1)
    return refuse(w, field, "has too many items");
  tsh_out_count(&w->out, count, w->flexible, false);
  for (int64_t i = 0; i < count && status == 0; i++) {
    if (field->type != TSH_F_STRUCT) {
      status = write_plain(w, field, i);
      continue;
    }
    status = w->from->enter(w->from->user, field, i, NULL, w->err);
    if (status == 0)
      return refuse(w, field, "has a hole");
    if (status < 0)
      return status;
    status = write_struct(w, field->fields);
    w->from->leave(w->from->user, field);
  }
  return status;
}

static int write_list(walk *w, const tsh_field *field) {
  bool nullable = tsh_field_nullable(field, w->version);
  int64_t count = 0;
  int status = w->from->enter(w->from->user, field, -1, &count, w->err);
  if (status == 0) {
    tsh_out_count(&w->out, nullable ? -1 : 0, w->flexible, false);
    return 0;
  }
  if (status < 0)
    return status;
  status = write_items(w, field, count);
  w->from->leave(w->from->user, field);
  return status;
}

static const tsh_source nothing;

/* A struct that the source does not hold: null, or all presets. */
static int write_absent(walk *w, const tsh_field *field) {
  const tsh_source *from = w->from;
  if (tsh_field_nullable(field, w->version)) {
    tsh_out_i8(&w->out, -1);
    return 0;
  }
  w->from = &nothing;
  int status = write_struct(w, field->fields);
  w->from = from;
  return status;
}

static int write_one_struct(walk *w, const tsh_field *field) {
  int status = w->from->enter(w->from->user, field, -1, NULL, w->err);
  if (status == 0)
    return write_absent(w, field);
  if (status < 0)
    return status;
  if (tsh_field_nullable(field, w->version))
    tsh_out_i8(&w->out, 1);
  status = write_struct(w, field->fields);
  w->from->leave(w->from->user, field);
  return status;
}

static int write_field(walk *w, const tsh_field *field) {
  if (field->list)
    return write_list(w, field);
  if (field->type == TSH_F_STRUCT)
    return write_one_struct(w, field);
  return write_plain(w, field, -1);
}

/* Does the source hold the field? 1, 0, or negative. */
static int holds(walk *w, const tsh_field *field) {
  tsh_value value = {0};
  int64_t count;
  if (!field->list && field->type != TSH_F_STRUCT)
    return w->from->value(w->from->user, field, -1, &value, w->err);
  int status = w->from->enter(w->from->user, field, -1,
                              field->list ? &count : NULL, w->err);
  if (status > 0)
    w->from->leave(w->from->user, field);
  return status;
}

static int write_tag(walk *w, const tsh_field *field) {
  tsh_out out = w->out;
  w->out = (tsh_out){NULL, 0};
  int status = write_field(w, field);
  size_t size = w->out.size;
  w->out = out;
  if (status < 0)
    return status;
  tsh_out_uvarint(&w->out, (uint32_t)field->tag - 1);
  tsh_out_uvarint(&w->out, (uint32_t)size);
  return write_field(w, field);
}

/* Tags ascend within `fields` as Kafka wants them sent: the table is in that
 * order (test_wire_proto checks it). */
static int write_tags(walk *w, const tsh_field *fields) {
  uint32_t count = 0;
  for (int pass = 0; pass < 2; pass++) {
    if (pass == 1)
      tsh_out_uvarint(&w->out, count);
    for (const tsh_field *f = fields; f->name; f++) {
      if (!tsh_field_tagged(f, w->version) || !tsh_field_in(f, w->version))
        continue;
      int status = holds(w, f);
      if (status > 0 && pass == 1)
        status = write_tag(w, f);
      if (status < 0)
        return status;
      if (pass == 0)
        count += (uint32_t)status;
    }
  }
  return 0;
}

static int write_struct(walk *w, const tsh_field *fields) {
  for (const tsh_field *f = fields; f->name; f++) {
    int status = 0;
    if (!tsh_field_in(f, w->version))
      status = holds(w, f) > 0 ? refuse(w, f, "is not in this version") : 0;
    else if (!tsh_field_tagged(f, w->version))
      status = write_field(w, f);
    if (status < 0)
      return status;
  }
  return w->flexible ? write_tags(w, fields) : 0;
}

static int enter_nothing(void *user, const tsh_field *field, int64_t index,
                         int64_t *count, tsh_err *err) {
  (void)user, (void)field, (void)index, (void)count, (void)err;
  return 0;
}

static int value_nothing(void *user, const tsh_field *field, int64_t index,
                         tsh_value *out, tsh_err *err) {
  (void)user, (void)field, (void)index, (void)out, (void)err;
  return 0;
}

static const tsh_source nothing = {.enter = enter_nothing,
                                   .value = value_nothing};

int tsh_message_encode(const tsh_message *msg, bool response, int16_t version,
                       const tsh_source *source, struct iovec *out,
                       tsh_err *err) {
  const tsh_field *fields = response ? msg->response : msg->request;
  walk w = {.from = source,
            .msg = msg,
            .err = err,
            .version = version,
            .flexible = version >= msg->flexible};
  *out = (struct iovec){NULL, 0};
  if (version < msg->min || version > msg->max)
    return tsh_err_set(err, TSH_INVALID, "wire", 0, "%s has no version %d",
                       msg->name, version);
  int status = write_struct(&w, fields);
  if (status < 0)
    return status;
  size_t size = w.out.size;
  uint8_t *block = malloc(size ? size : 1);
  if (!block)
    return tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory for %s",
                       msg->name);
  *out = (struct iovec){block, size}; /* the caller's, even if a source jumps */
  w.out = (tsh_out){block, 0};
  status = write_struct(&w, fields);
  assert(status < 0 || w.out.size == size);
  return status;
}
