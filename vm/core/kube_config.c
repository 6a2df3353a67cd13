/* Kubeconfig files to what one context says. kubectl's rules: of several
 * files the first that names a thing wins, data stands before files, paths are
 * relative to the file they stand in. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kube_config.h"

enum { MOST_FILES = 32 };

/* Errors. */

int tsh_kube__bad(const tsh_kube__entry *entry, const char *key, tsh_err *err,
                  const char *format, ...) {
  char text[300];
  va_list args;
  int line = tsh_yaml_line(&entry->file->yaml, entry->body, key);

  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return tsh_err_set(err, TSH_INVALID, "kube", line, "%s:%d: %s '%s'%s%s: %s",
                     entry->file->path, line, entry->kind, entry->name,
                     key != NULL ? ", " : "", key != NULL ? key : "", text);
}

/* Fields. */

static bool is_absent(const json_t *value) {
  return value == NULL || json_is_null(value);
}

int tsh_kube__text(const tsh_kube__entry *entry, const char *key,
                   const char **out, tsh_err *err) {
  const json_t *value = json_object_get(entry->body, key);

  *out = NULL;
  if (is_absent(value))
    return 0;
  if (!json_is_string(value))
    return tsh_kube__bad(entry, key, err, "text is wanted here");
  if (json_string_length(value) > 0)
    *out = json_string_value(value);
  return 0;
}

int tsh_kube__flag(const tsh_kube__entry *entry, const char *key, bool *out,
                   tsh_err *err) {
  const char *text;
  int rc = tsh_kube__text(entry, key, &text, err);

  *out = text != NULL && strcmp(text, "true") == 0;
  if (rc == 0 && text != NULL && !*out && strcmp(text, "false") != 0)
    return tsh_kube__bad(entry, key, err, "true or false is wanted here");
  return rc;
}

char *tsh_kube__path(const tsh_kube__file *file, const char *path) {
  char *out = NULL;
  const char *slash = strrchr(file->path, '/');

  if (path[0] == '/' || slash == NULL)
    return strdup(path);
  if (asprintf(&out, "%.*s/%s", (int)(slash - file->path), file->path, path) <
      0)
    return NULL;
  return out;
}

/* `data_key` holds base64, `path_key` names a file; the former wins. */
int tsh_kube__bytes(const tsh_kube__entry *entry, const char *data_key,
                    const char *path_key, tsh_buf *out, tsh_err *err) {
  const char *data, *path;
  char *full;
  tsh_err why;
  int rc = tsh_kube__text(entry, data_key, &data, err);

  if (rc == 0)
    rc = tsh_kube__text(entry, path_key, &path, err);
  if (rc != 0)
    return rc;
  if (data != NULL)
    return tsh_base64_decode(data, out)
               ? 0
               : tsh_kube__bad(entry, data_key, err, "this is not base64");
  if (path == NULL)
    return 0;
  full = tsh_kube__path(entry->file, path);
  rc = tsh_kube__read_file(full, out, &why);
  free(full);
  if (rc == 0 && out->length == 0)
    return tsh_kube__bad(entry, path_key, err, "the file is empty");
  return rc == 0 ? 0 : tsh_kube__bad(entry, path_key, err, "%s", why.message);
}

/* Files. */

static int check_file(tsh_kube__file *file, tsh_err *err) {
  const char *kind, *version;
  tsh_kube__entry whole = {file, file->root, "kubeconfig", file->path};
  int rc = tsh_kube__text(&whole, "kind", &kind, err);

  if (rc == 0)
    rc = tsh_kube__text(&whole, "apiVersion", &version, err);
  if (rc != 0)
    return rc;
  if (kind != NULL && strcmp(kind, "Config") != 0)
    return tsh_kube__bad(&whole, "kind", err, "a kubeconfig is of kind Config");
  if (version != NULL && strcmp(version, "v1") != 0)
    return tsh_kube__bad(&whole, "apiVersion", err, "only v1 is known");
  return 0;
}

/* An empty file says nothing, as kubectl has it. */
static int read_one(tsh_kube__file *file, const char *path, tsh_err *err) {
  tsh_buf text;
  tsh_err why;
  int rc;

  tsh_buf_init(&text, TSH_KUBE__LARGEST_FILE);
  file->path = strdup(path);
  rc = tsh_kube__read_file(path, &text, err);
  if (rc == 0) {
    rc = tsh_yaml_read(&file->yaml, tsh_buf_text(&text), text.length,
                       TSH_YAML_TEXT, &why);
    if (rc != 0)
      tsh_err_set(err, why.kind, "kube", why.code, "%s:%s", path, why.message);
  }
  tsh_buf_wipe(&text);
  if (rc != 0)
    return rc;
  file->root = json_array_get(file->yaml.documents, 0);
  if (json_array_size(file->yaml.documents) > 1 ||
      (file->root != NULL && !json_is_object(file->root)))
    return tsh_err_set(err, TSH_INVALID, "kube", 0,
                       "%s: a kubeconfig is one mapping", path);
  return file->root != NULL ? check_file(file, err) : 0;
}

/* Files named in KUBECONFIG may be missing; one that was asked for may not. */
static int read_list(tsh_kube__files *files, const char *list, tsh_err *err) {
  char *copy = strdup(list), *rest = copy, *path;
  int rc = 0;

  while (rc == 0 && (path = strsep(&rest, ":")) != NULL) {
    if (*path == '\0' || access(path, F_OK) != 0)
      continue;
    if (files->count == MOST_FILES)
      rc = tsh_err_set(err, TSH_LIMIT, "kube", 0,
                       "KUBECONFIG names more than %d files", MOST_FILES);
    else
      rc = read_one(&files->list[files->count++], path, err);
  }
  free(copy);
  return rc;
}

static int read_files(tsh_kube__files *files, const tsh_kube_setup *setup,
                      tsh_err *err) {
  const char *list = getenv("KUBECONFIG"), *home = getenv("HOME");
  char *path = NULL;
  int rc;

  if (setup->kubeconfig != NULL)
    return read_one(&files->list[files->count++], setup->kubeconfig, err);
  if (list != NULL && *list != '\0')
    return read_list(files, list, err);
  if (home == NULL || asprintf(&path, "%s/.kube/config", home) < 0)
    return 0;
  rc = read_list(files, path, err);
  free(path);
  return rc;
}

static void free_files(tsh_kube__files *files) {
  for (size_t i = 0; i < files->count; i++) {
    tsh_yaml_fini(&files->list[i].yaml);
    free(files->list[i].path);
  }
  free(files->list);
}

/* Entries: lists of { name, KIND: { ... } }. */

static int entry_of(tsh_kube__file *file, json_t *item, const char *kind,
                    const char **name, tsh_kube__entry *out, tsh_err *err) {
  json_t *body = json_object_get(item, kind);
  tsh_kube__entry outer = {file, item, kind, "?"};
  int rc;

  if (!json_is_object(item))
    return tsh_err_set(err, TSH_INVALID, "kube", 0,
                       "%s: an item of %ss is no mapping", file->path, kind);
  rc = tsh_kube__text(&outer, "name", name, err);
  if (rc != 0)
    return rc;
  if (*name == NULL)
    return tsh_kube__bad(&outer, NULL, err, "it has no name");
  if (!is_absent(body) && !json_is_object(body)) {
    outer.name = *name;
    return tsh_kube__bad(&outer, kind, err, "a mapping is wanted here");
  }
  *out = (tsh_kube__entry){file, is_absent(body) ? item : body, kind, *name};
  return 0;
}

/* `out->body` stays NULL when no file has it; `known` gathers the names. */
static int find(tsh_kube__files *files, const char *kind, const char *wanted,
                tsh_kube__entry *out, tsh_buf *known, tsh_err *err) {
  char list_name[16];
  size_t n;
  json_t *item;

  snprintf(list_name, sizeof list_name, "%ss", kind);
  for (size_t i = 0; i < files->count; i++) {
    tsh_kube__file *file = &files->list[i];
    json_t *list = json_object_get(file->root, list_name);

    if (!is_absent(list) && !json_is_array(list)) {
      tsh_kube__entry whole = {file, file->root, "kubeconfig", file->path};

      return tsh_kube__bad(&whole, list_name, err, "a list is wanted here");
    }
    json_array_foreach(list, n, item) {
      tsh_kube__entry entry;
      const char *name;
      int rc = entry_of(file, item, kind, &name, &entry, err);

      if (rc != 0)
        return rc;
      if (strcmp(name, wanted) == 0) {
        *out = entry;
        return 0;
      }
      tsh_buf_format(known, "%s%s", known->length > 0 ? ", " : "", name);
    }
  }
  return 0;
}

static int current(tsh_kube__files *files, const char **out, tsh_err *err) {
  for (size_t i = 0; i < files->count && *out == NULL; i++) {
    tsh_kube__file *file = &files->list[i];
    tsh_kube__entry whole = {file, file->root, "kubeconfig", file->path};
    int rc = tsh_kube__text(&whole, "current-context", out, err);

    if (rc != 0)
      return rc;
  }
  return 0;
}

static void list_paths(const tsh_kube__files *files, tsh_buf *out) {
  for (size_t i = 0; i < files->count; i++)
    tsh_buf_format(out, "%s%s", i > 0 ? ", " : "", files->list[i].path);
}

static int find_context(tsh_kube__files *files, const char *name,
                        tsh_kube__entry *out, tsh_err *err) {
  tsh_buf known, paths;
  int rc;

  tsh_buf_init(&known, 200);
  tsh_buf_init(&paths, 200);
  list_paths(files, &paths);
  rc = find(files, "context", name ? name : "", out, &known, err);
  if (rc == 0 && out->body == NULL) {
    if (name == NULL)
      rc = tsh_err_set(err, TSH_INVALID, "kube", 0,
                       "%s has no current-context; name one of its contexts: "
                       "%s",
                       tsh_buf_text(&paths), tsh_buf_text(&known));
    else
      rc = tsh_err_set(err, TSH_NOT_FOUND, "kube", 0,
                       "no context '%s' in %s; it has: %s", name,
                       tsh_buf_text(&paths),
                       known.length > 0 ? tsh_buf_text(&known) : "none");
  }
  tsh_buf_fini(&known);
  tsh_buf_fini(&paths);
  return rc;
}

/* The entry that a context names by `kind`. */
static int follow(tsh_kube__files *files, const tsh_kube__entry *context,
                  const char *kind, tsh_kube__entry *out, tsh_err *err) {
  const char *name;
  tsh_buf known;
  int rc = tsh_kube__text(context, kind, &name, err);

  if (rc != 0)
    return rc;
  if (name == NULL)
    return tsh_kube__bad(context, kind, err, "the context names none");
  tsh_buf_init(&known, 200);
  rc = find(files, kind, name, out, &known, err);
  if (rc == 0 && out->body == NULL)
    rc =
        tsh_kube__bad(context, kind, err, "there is no %s '%s', only: %s", kind,
                      name, known.length > 0 ? tsh_buf_text(&known) : "none");
  tsh_buf_fini(&known);
  return rc;
}

static int resolve(tsh_kube__access *out, tsh_kube__files *files,
                   const char *wanted, tsh_err *err) {
  tsh_kube__entry context = {0}, cluster = {0}, user = {0};
  const char *ns;
  int rc = wanted != NULL ? 0 : current(files, &wanted, err);

  if (rc == 0)
    rc = find_context(files, wanted, &context, err);
  if (rc == 0)
    rc = follow(files, &context, "cluster", &cluster, err);
  if (rc == 0)
    rc = follow(files, &context, "user", &user, err);
  if (rc == 0)
    rc = tsh_kube__text(&context, "namespace", &ns, err);
  if (rc != 0)
    return rc;
  out->context = strdup(context.name);
  out->cluster = strdup(cluster.name);
  out->user = strdup(user.name);
  out->ns = ns != NULL ? strdup(ns) : NULL;
  rc = tsh_kube__read_cluster(out, &cluster, err);
  return rc != 0 ? rc : tsh_kube__read_user(out, &user, err);
}

int tsh_kube__access_read(tsh_kube__access *out, const tsh_kube_setup *setup,
                          tsh_err *err) {
  tsh_kube__files files = {calloc(MOST_FILES, sizeof *files.list), 0};
  int rc;

  memset(out, 0, sizeof *out);
  rc = read_files(&files, setup, err);
  if (rc == 0)
    rc = files.count > 0 ? resolve(out, &files, setup->context, err)
                         : tsh_kube__read_account(out, setup, err);
  free_files(&files);
  if (rc == 0 && setup->ns != NULL) {
    free(out->ns);
    out->ns = strdup(setup->ns);
  }
  if (rc == 0 && out->ns == NULL)
    out->ns = strdup("default");
  if (rc != 0)
    tsh_kube__access_fini(out);
  return rc;
}

static void free_texts(char *list[]) {
  for (; *list != NULL; list++) {
    explicit_bzero(*list, strlen(*list));
    free(*list);
  }
}

void tsh_kube__access_fini(tsh_kube__access *access) {
  char *texts[] = {
      access->context,      access->cluster,   access->user,
      access->ns,           access->place,     access->server,
      access->server_name,  access->proxy,     access->ca,
      access->token_file,   access->warning,   access->exec.command,
      access->exec.version, access->exec.hint, access->exec.config};

  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    free(texts[i]);
  free_texts(access->headers);
  free_texts(access->exec.args);
  free_texts(access->exec.env);
  tsh_secret_free(access->cert);
  tsh_secret_free(access->key);
  tsh_secret_free(access->token);
  tsh_secret_free(access->basic);
  memset(access, 0, sizeof *access);
}
