/* libyaml's events to trees.
 *
 * An alias shares its anchor's tree, so a small text can stand for a huge
 * value; what aliases would unfold to is counted, and bounded. */
#include "yaml_tree.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "yaml_scalar.h"

enum {
  DEEPEST = 100,
  MOST_VALUES = 1000000, /* aliases unfolded */
};

struct tsh_yaml_place {
  const json_t *parent;
  char *key; /* NULL: the parent itself */
  int line;
};

typedef struct anchor {
  char *name;
  json_t *value;
  size_t values;
} anchor;

typedef struct reader {
  yaml_parser_t parser;
  yaml_event_t event;
  tsh_yaml *out;
  anchor *list;
  size_t anchor_count, values;
  int flags;
  tsh_err *err;
} reader;

static int fail(reader *r, const yaml_mark_t *mark, const char *why) {
  return tsh_err_set(r->err, TSH_PROTOCOL, "yaml", (int)mark->line + 1,
                     "%zu:%zu: %s", mark->line + 1, mark->column + 1, why);
}

static int next(reader *r) {
  yaml_event_delete(&r->event);
  if (yaml_parser_parse(&r->parser, &r->event))
    return 0;
  memset(&r->event, 0, sizeof r->event);
  if (r->parser.error == YAML_MEMORY_ERROR)
    return tsh_err_set(r->err, TSH_NO_MEMORY, "yaml", 0, "no memory");
  return fail(r, &r->parser.problem_mark,
              r->parser.problem ? r->parser.problem : "not YAML");
}

/* Places. */

static void note(reader *r, const json_t *parent, const char *key,
                 size_t line) {
  tsh_yaml *out = r->out;

  if (out->count == out->capacity) {
    size_t capacity = out->capacity ? 2 * out->capacity : 64;
    tsh_yaml_place *places =
        realloc(out->places, capacity * sizeof *out->places);

    if (places == NULL)
      return; /* lines are a courtesy */
    out->places = places;
    out->capacity = capacity;
  }
  out->places[out->count++] =
      (tsh_yaml_place){parent, key ? strdup(key) : NULL, (int)line + 1};
}

int tsh_yaml_line(const tsh_yaml *yaml, const json_t *parent, const char *key) {
  int own = 0;

  for (size_t i = 0; i < yaml->count; i++) {
    const tsh_yaml_place *place = &yaml->places[i];

    if (place->parent != parent)
      continue;
    if (place->key == NULL)
      own = place->line;
    else if (key != NULL && strcmp(key, place->key) == 0)
      return place->line;
  }
  return own;
}

/* Anchors. */

static int name_anchor(reader *r, const yaml_char_t *name, json_t *value,
                       size_t values) {
  anchor *list;

  if (name == NULL)
    return 0;
  list = realloc(r->list, (r->anchor_count + 1) * sizeof *list);
  if (list == NULL)
    return tsh_err_set(r->err, TSH_NO_MEMORY, "yaml", 0, "no memory");
  r->list = list;
  list[r->anchor_count] =
      (anchor){strdup((const char *)name), json_incref(value), values};
  r->anchor_count++;
  return 0;
}

static int count(reader *r, size_t values) {
  r->values += values;
  if (r->values <= MOST_VALUES)
    return 0;
  return tsh_err_set(r->err, TSH_LIMIT, "yaml", 0,
                     "%zu: more than %d values, aliases unfolded",
                     r->event.start_mark.line + 1, MOST_VALUES);
}

static int read_alias(reader *r, json_t **out) {
  const char *name = (const char *)r->event.data.alias.anchor;

  for (size_t i = r->anchor_count; i > 0; i--) {
    anchor *a = &r->list[i - 1];

    if (strcmp(a->name, name) != 0)
      continue;
    *out = json_incref(a->value);
    return count(r, a->values);
  }
  return fail(r, &r->event.start_mark, "an alias without its anchor");
}

/* Values. */

static int read_value(reader *r, json_t **out, int depth);

static int read_sequence(reader *r, json_t *array, int depth) {
  for (;;) {
    json_t *item = NULL;
    int rc = next(r);

    if (rc != 0 || r->event.type == YAML_SEQUENCE_END_EVENT)
      return rc;
    rc = read_value(r, &item, depth + 1);
    if (rc == 0)
      rc = json_array_append(array, item);
    json_decref(item);
    if (rc != 0)
      return rc;
  }
}

/* `<<: *base` and `<<: [*a, *b]`: what is there already stays. */
static int merge(reader *r, json_t *object, json_t *from, bool is_list,
                 const yaml_mark_t *mark) {
  size_t i;
  json_t *item;
  int rc = 0;

  if (json_is_object(from))
    return json_object_update_missing(object, from);
  if (!is_list || !json_is_array(from))
    return fail(r, mark, "only mappings can be merged in");
  json_array_foreach(from, i, item) {
    if (rc == 0)
      rc = merge(r, object, item, false, mark);
  }
  return rc;
}

static int read_pair(reader *r, json_t *object, json_t *merges, int depth) {
  yaml_mark_t mark = r->event.start_mark;
  bool is_merge, is_plain;
  json_t *value = NULL;
  char *key;
  int rc;

  if (r->event.type != YAML_SCALAR_EVENT)
    return fail(r, &mark, "a key that is no text");
  is_plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  key = strdup((const char *)r->event.data.scalar.value);
  if (key == NULL)
    return tsh_err_set(r->err, TSH_NO_MEMORY, "yaml", 0, "no memory");
  is_merge = is_plain && strcmp(key, "<<") == 0;
  if (!is_merge && json_object_get(object, key) != NULL)
    rc = tsh_err_set(r->err, TSH_PROTOCOL, "yaml", (int)mark.line + 1,
                     "%zu:%zu: '%s' stands twice", mark.line + 1,
                     mark.column + 1, key);
  else
    rc = next(r);
  if (rc == 0) {
    note(r, object, key, r->event.start_mark.line);
    rc = read_value(r, &value, depth + 1);
  }
  if (rc == 0 && (is_merge ? json_array_append(merges, value)
                           : json_object_set(object, key, value)) != 0)
    rc = fail(r, &mark, "a key or value is not UTF-8");
  json_decref(value);
  free(key);
  return rc;
}

static int read_mapping(reader *r, json_t *object, int depth) {
  json_t *merges = json_array(), *from;
  yaml_mark_t mark = r->event.start_mark;
  size_t i;
  int rc;

  note(r, object, NULL, mark.line);
  while ((rc = next(r)) == 0 && r->event.type != YAML_MAPPING_END_EVENT) {
    rc = read_pair(r, object, merges, depth);
    if (rc != 0)
      break;
  }
  json_array_foreach(merges, i, from) {
    if (rc == 0)
      rc = merge(r, object, from, true, &mark);
  }
  json_decref(merges);
  return rc;
}

static int read_scalar(reader *r, json_t **out) {
  const char *text = (const char *)r->event.data.scalar.value;
  size_t length = r->event.data.scalar.length;
  const char *tag = (const char *)r->event.data.scalar.tag;
  bool is_plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

  if (tag != NULL && strcmp(tag, YAML_STR_TAG) != 0 &&
      strncmp(tag, "tag:yaml.org,2002:", 18) != 0)
    return fail(r, &r->event.start_mark, "a tag that has no meaning here");
  if (!is_plain || (tag != NULL && strcmp(tag, YAML_STR_TAG) == 0))
    *out = json_stringn(text, length);
  else
    *out = tsh_yaml__scalar(text, length, (r->flags & TSH_YAML_TEXT) != 0);
  return *out != NULL ? 0
                      : fail(r, &r->event.start_mark,
                             "a value that cannot be said in JSON");
}

static int read_value(reader *r, json_t **out, int depth) {
  size_t before = r->values;
  yaml_char_t *name = NULL;
  int rc = count(r, 1);

  *out = NULL;
  if (rc != 0)
    return rc;
  if (depth > DEEPEST)
    return fail(r, &r->event.start_mark, "nested too deeply");
  switch (r->event.type) {
    case YAML_ALIAS_EVENT:
      return read_alias(r, out);
    case YAML_SCALAR_EVENT:
      rc = read_scalar(r, out);
      return rc ? rc : name_anchor(r, r->event.data.scalar.anchor, *out, 1);
    case YAML_SEQUENCE_START_EVENT:
      name = r->event.data.sequence_start.anchor;
      r->event.data.sequence_start.anchor = NULL;
      *out = json_array();
      rc = read_sequence(r, *out, depth);
      break;
    case YAML_MAPPING_START_EVENT:
      name = r->event.data.mapping_start.anchor;
      r->event.data.mapping_start.anchor = NULL;
      *out = json_object();
      rc = read_mapping(r, *out, depth);
      break;
    default:
      rc = fail(r, &r->event.start_mark, "not what can stand here");
  }
  if (rc == 0)
    rc = name_anchor(r, name, *out, r->values - before);
  free(name);
  return rc;
}

/* Anchors belong to their document. */
static void drop_anchors(reader *r) {
  for (size_t i = 0; i < r->anchor_count; i++) {
    free(r->list[i].name);
    json_decref(r->list[i].value);
  }
  r->anchor_count = 0;
}

static int read_documents(reader *r) {
  int rc;

  while ((rc = next(r)) == 0 && r->event.type != YAML_STREAM_END_EVENT) {
    json_t *value = NULL;

    if (r->event.type != YAML_DOCUMENT_START_EVENT)
      continue;
    rc = next(r);
    if (rc == 0)
      rc = read_value(r, &value, 0);
    drop_anchors(r);
    if (rc == 0 && !json_is_null(value))
      json_array_append(r->out->documents, value);
    json_decref(value);
    if (rc != 0)
      break;
  }
  return rc;
}

int tsh_yaml_read(tsh_yaml *out, const char *text, size_t length, int flags,
                  tsh_err *err) {
  reader r = {.out = out, .flags = flags, .err = err};
  int rc;

  tsh_json_wipe();
  memset(out, 0, sizeof *out);
  out->documents = json_array();
  if (!yaml_parser_initialize(&r.parser)) {
    tsh_yaml_fini(out);
    return tsh_err_set(err, TSH_NO_MEMORY, "yaml", 0, "no memory");
  }
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, length);
  yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
  rc = read_documents(&r);
  yaml_event_delete(&r.event);
  yaml_parser_delete(&r.parser);
  drop_anchors(&r);
  free(r.list);
  if (rc != 0)
    tsh_yaml_fini(out);
  return rc;
}

void tsh_yaml_fini(tsh_yaml *yaml) {
  json_decref(yaml->documents);
  for (size_t i = 0; i < yaml->count; i++)
    free(yaml->places[i].key);
  free(yaml->places);
  memset(yaml, 0, sizeof *yaml);
}
