/* Reading kubeconfigs: entries of files, and their fields (kube_config.c finds
 * them, kube_entry.c knows what clusters and users may say). */
#ifndef TRANSHIP_KUBE_CONFIG_H
#define TRANSHIP_KUBE_CONFIG_H

#include "kube_int.h"
#include "yaml_tree.h"

typedef struct tsh_kube__file {
  char *path;
  tsh_yaml yaml;
  json_t *root; /* NULL: an empty file */
} tsh_kube__file;

typedef struct tsh_kube__files {
  tsh_kube__file *list;
  size_t count;
} tsh_kube__files;

/* One context, cluster or user. */
typedef struct tsh_kube__entry {
  tsh_kube__file *file;
  json_t *body;
  const char *kind, *name;
} tsh_kube__entry;

/* "FILE:LINE: KIND 'NAME', KEY: why". */
int tsh_kube__bad(const tsh_kube__entry *entry, const char *key, tsh_err *err,
                  const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* NULL when it is absent or empty; belongs to the file. */
int tsh_kube__text(const tsh_kube__entry *entry, const char *key,
                   const char **out, tsh_err *err);
int tsh_kube__flag(const tsh_kube__entry *entry, const char *key, bool *out,
                   tsh_err *err);
/* A path as the file means it; the caller frees it. */
char *tsh_kube__path(const tsh_kube__file *file, const char *path);
/* Bytes from base64 or from a file; nothing when both are absent. */
int tsh_kube__bytes(const tsh_kube__entry *entry, const char *data_key,
                    const char *path_key, tsh_buf *out, tsh_err *err);

int tsh_kube__read_cluster(tsh_kube__access *out,
                           const tsh_kube__entry *cluster, tsh_err *err);
int tsh_kube__read_user(tsh_kube__access *out, const tsh_kube__entry *user,
                        tsh_err *err);
/* The account of the pod that we are in. */
int tsh_kube__read_account(tsh_kube__access *out, const tsh_kube_setup *setup,
                           tsh_err *err);

#endif
