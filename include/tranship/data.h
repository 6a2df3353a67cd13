/* Plain data: what crosses between a script and a core room.
 *
 * A call's arguments and its answer are trees of nodes in one pool, so that a
 * binding converts any call with one function each way and a room never sees
 * the interpreter. Nodes and texts live exactly as long as their pool. Pools
 * belong to one thread at a time and are wiped when freed, because arguments
 * may hold passwords.
 *
 * A failed allocation leaves a mark on the pool (tsh_pool_failed) and gives
 * NULL; every function here takes NULL and does nothing with it. So a tree is
 * built without a check per node, and asked once at the end. */
#ifndef TRANSHIP_DATA_H
#define TRANSHIP_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tranship/err.h"

typedef struct tsh_pool tsh_pool;

tsh_pool *tsh_pool_new(void);
void tsh_pool_free(tsh_pool *pool);
bool tsh_pool_failed(const tsh_pool *pool);
void *tsh_pool_alloc(tsh_pool *pool, size_t size); /* zeroed */
char *tsh_pool_copy(tsh_pool *pool, const char *text, size_t length);
char *tsh_pool_text(tsh_pool *pool, const char *text); /* NULL gives NULL */

typedef enum tsh_data_kind {
  TSH_DATA_NONE, /* nil: only as an argument that was left out */
  TSH_DATA_FLAG,
  TSH_DATA_NUMBER,
  TSH_DATA_TEXT, /* bytes; also terminated by a zero byte that is not counted */
  TSH_DATA_TABLE, /* a sequence, named fields, or both */
  TSH_DATA_ERR
} tsh_data_kind;

typedef struct tsh_data tsh_data;
struct tsh_data {
  tsh_data_kind kind;
  const char *name; /* of a field; NULL for the next item of the sequence */
  tsh_data *next;   /* sibling */
  union {
    bool flag;
    int64_t number;
    struct {
      const char *bytes;
      size_t length;
    } text;
    struct {
      tsh_data *first, *last;
    } table;
    const tsh_err *err;
  } as;
};

/* Building. `name` must live as long as the pool (a literal, or
 * tsh_pool_text); NULL appends to the sequence. A NULL text adds nothing. */
tsh_data *tsh_data_table(tsh_pool *pool);
tsh_data *tsh_data_add_table(tsh_pool *pool, tsh_data *to, const char *name);
void tsh_data_add_none(tsh_pool *pool, tsh_data *to);
void tsh_data_add_flag(tsh_pool *pool, tsh_data *to, const char *name,
                       bool flag);
void tsh_data_add_number(tsh_pool *pool, tsh_data *to, const char *name,
                         int64_t number);
void tsh_data_add_text(tsh_pool *pool, tsh_data *to, const char *name,
                       const char *text);
/* Borrows: the bytes stay where they are and must outlive the pool's use. */
void tsh_data_add_bytes(tsh_pool *pool, tsh_data *to, const char *name,
                        const void *bytes, size_t length);
void tsh_data_add_err(tsh_pool *pool, tsh_data *to, const char *name,
                      const tsh_err *err);

/* Reading. What is absent or of another kind gives the fallback. */
const tsh_data *tsh_data_get(const tsh_data *table, const char *name);
const tsh_data *tsh_data_at(const tsh_data *table, size_t position); /* 1.. */
const tsh_data *tsh_data_first(const tsh_data *table);
size_t tsh_data_count(const tsh_data *table); /* items of the sequence */
const char *tsh_data_text(const tsh_data *table, const char *name,
                          const char *fallback);
int64_t tsh_data_number(const tsh_data *table, const char *name,
                        int64_t fallback);
bool tsh_data_flag(const tsh_data *table, const char *name, bool fallback);

#define TSH_DATA_EACH(item, table)                                             \
  for (const tsh_data *item = tsh_data_first(table); (item) != NULL;           \
       item = (item)->next)

#endif
