/* Finding messages in the table, and reading one by its list of fields. */
#include "bytes.h"
#include "proto_fields.h"

enum { MOST_THROTTLE_MS = 300000 }; /* more is a mistake, not a quota */

static const char throttle_field[] = "ThrottleTimeMs";

static const tsh_message *const parts[] = {
    tsh_wire__log, tsh_wire__txn, tsh_wire__groups, tsh_wire__cluster, NULL};

const tsh_message *tsh_message_at(size_t index) {
  for (const tsh_message *const *part = parts; *part; part++)
    for (const tsh_message *msg = *part; msg->name; msg++)
      if (index-- == 0)
        return msg;
  return NULL;
}

const tsh_message *tsh_message_find(const char *name) {
  const tsh_message *msg;
  for (size_t i = 0; (msg = tsh_message_at(i)) != NULL; i++)
    if (strcmp(msg->name, name) == 0)
      return msg;
  return NULL;
}

const tsh_message *tsh_message_of(int16_t api_key) {
  const tsh_message *msg;
  for (size_t i = 0; (msg = tsh_message_at(i)) != NULL; i++)
    if (msg->api_key == api_key)
      return msg;
  return NULL;
}

/* --- decoding ------------------------------------------------------------ */

typedef struct walk {
  tsh_in in;
  const tsh_visitor *to;
  const tsh_field *wrong; /* the first field that broke the format */
  int version;
  bool flexible;
} walk;

static void read_struct(walk *w, const tsh_field *field,
                        const tsh_field *fields);

static void refuse(walk *w, const tsh_field *field) {
  w->in.bad = true;
  if (!w->wrong)
    w->wrong = field;
}

static void read_plain(walk *w, const tsh_field *field) {
  tsh_value value = {0};
  tsh_in *in = &w->in;
  switch (field->type) {
    case TSH_F_BOOL:
      value.integer = tsh_in_i8(in) != 0;
      break;
    case TSH_F_I8:
      value.integer = tsh_in_i8(in);
      break;
    case TSH_F_I16:
      value.integer = tsh_in_i16(in);
      break;
    case TSH_F_I32:
      value.integer = tsh_in_i32(in);
      break;
    case TSH_F_I64:
      value.integer = tsh_in_i64(in);
      break;
    case TSH_F_F64: {
      int64_t bits = tsh_in_i64(in);
      memcpy(&value.real, &bits, sizeof bits);
      break;
    }
    case TSH_F_UUID:
      value.bytes = (tsh_text){(const char *)tsh_in_take(in, 16), 16};
      break;
    case TSH_F_TEXT:
      value.bytes = tsh_in_text(in, w->flexible);
      break;
    default:
      value.bytes = tsh_in_bytes(in, w->flexible);
      break;
  }
  if (field->type == TSH_F_TEXT || field->type == TSH_F_BYTES) {
    value.null = !value.bytes.data;
    if (value.null && !tsh_field_nullable(field, w->version))
      refuse(w, field);
  }
  if (!in->bad && w->to->value)
    w->to->value(w->to->user, field, &value);
}

static void read_item(walk *w, const tsh_field *field) {
  if (field->type != TSH_F_STRUCT)
    read_plain(w, field);
  else
    read_struct(w, field, field->fields);
}

static void read_list(walk *w, const tsh_field *field) {
  int64_t count = tsh_in_count(&w->in, w->flexible, false);
  if (count < 0 && !tsh_field_nullable(field, w->version))
    refuse(w, field);
  if (w->in.bad)
    return;
  if (w->to->list)
    w->to->list(w->to->user, field, count);
  for (int64_t i = 0; i < count && !w->in.bad; i++)
    read_item(w, field);
  if (!w->in.bad && w->to->list_end)
    w->to->list_end(w->to->user, field);
}

/* A nullable struct carries a byte: -1 null, 1 there. */
static bool is_null_struct(walk *w, const tsh_field *field) {
  tsh_value null = {.null = true};
  if (field->list || field->type != TSH_F_STRUCT ||
      !tsh_field_nullable(field, w->version) || tsh_in_i8(&w->in) >= 0)
    return false;
  if (!w->in.bad && w->to->value)
    w->to->value(w->to->user, field, &null);
  return true;
}

static void read_field(walk *w, const tsh_field *field) {
  if (field->list)
    read_list(w, field);
  else if (!is_null_struct(w, field))
    read_item(w, field);
  if (w->in.bad)
    refuse(w, field);
}

static void read_tags(walk *w, const tsh_field *fields) {
  uint32_t left = tsh_in_uvarint(&w->in), tag;
  tsh_in inner;
  while (tsh_in_tag(&w->in, &left, &tag, &inner)) {
    const tsh_field *field = fields;
    while (field->name && !(tsh_field_tagged(field, w->version) &&
                            field->tag - 1 == (int64_t)tag))
      field++;
    if (!field->name || !tsh_field_in(field, w->version))
      continue;
    tsh_in outer = w->in;
    w->in = inner;
    read_field(w, field);
    if (w->in.bad || tsh_in_left(&w->in))
      refuse(w, field);
    outer.bad = w->in.bad;
    w->in = outer;
  }
}

static void read_struct(walk *w, const tsh_field *field,
                        const tsh_field *fields) {
  if (w->to->open)
    w->to->open(w->to->user, field);
  for (const tsh_field *f = fields; f->name && !w->in.bad; f++)
    if (tsh_field_in(f, w->version) && !tsh_field_tagged(f, w->version))
      read_field(w, f);
  if (w->flexible && !w->in.bad)
    read_tags(w, fields);
  if (!w->in.bad && w->to->open_end)
    w->to->open_end(w->to->user, field);
}

int tsh_message_decode(const tsh_message *msg, bool response, int16_t version,
                       const void *data, size_t size,
                       const tsh_visitor *visitor, tsh_err *err) {
  walk w = {.in = tsh_in_of(data, size),
            .to = visitor,
            .version = version,
            .flexible = version >= msg->flexible};
  const char *side = response ? "response" : "request";
  if (version < msg->min || version > msg->max)
    return tsh_err_set(err, TSH_INVALID, "wire", 0, "%s has no version %d",
                       msg->name, version);
  read_struct(&w, NULL, response ? msg->response : msg->request);
  if (w.in.bad)
    return tsh_err_set(
        err, TSH_PROTOCOL, "wire", 0, "%s %s v%d of %zu bytes breaks off at %s",
        msg->name, side, version, size, w.wrong ? w.wrong->name : "its end");
  if (tsh_in_left(&w.in))
    return tsh_err_set(err, TSH_PROTOCOL, "wire", 0,
                       "%s %s v%d has %zu bytes too many", msg->name, side,
                       version, tsh_in_left(&w.in));
  return 0;
}

/* --- throttling ---------------------------------------------------------- */

static void see_throttle(void *user, const tsh_field *field,
                         const tsh_value *value) {
  if (strcmp(field->name, throttle_field) == 0)
    *(int64_t *)user = value->integer;
}

static int64_t throttle_at(const uint8_t *at) { return (int32_t)tsh_get32(at); }

uint32_t tsh_throttle_of(int16_t api_key, int16_t version, const uint8_t *data,
                         size_t size) {
  const tsh_message *msg = tsh_message_of(api_key);
  const tsh_visitor visitor = {.value = see_throttle, .user = &(int64_t){0}};
  int64_t *ms = visitor.user;
  if (!msg || size < 4)
    return 0;
  if (strcmp(msg->response->name, throttle_field) == 0) {
    if (tsh_field_in(msg->response, version))
      *ms = throttle_at(data);
  } else if (api_key == TSH_API_PRODUCE && version < msg->flexible) {
    *ms = throttle_at(data + size - 4);
  } else if (api_key == TSH_API_PRODUCE) {
    tsh_message_decode(msg, true, version, data, size, &visitor, NULL);
  }
  return *ms < 0                  ? 0
         : *ms > MOST_THROTTLE_MS ? MOST_THROTTLE_MS
                                  : (uint32_t)*ms;
}
