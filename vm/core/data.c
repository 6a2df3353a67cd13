/* Pools and the plain data in them. Blocks grow by doubling; nothing is freed
 * singly. */
#include "tranship/data.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum {
  FIRST_BLOCK = 1024,
  LAST_BLOCK = 256 * 1024,
  LARGEST = 1 << 30 /* of one allocation: nothing sane is larger */
};

typedef struct block {
  struct block *next;
  size_t size, used;
  alignas(max_align_t) unsigned char bytes[];
} block;

struct tsh_pool {
  block *blocks;
  bool failed;
};

tsh_pool *tsh_pool_new(void) { return calloc(1, sizeof(tsh_pool)); }

void tsh_pool_free(tsh_pool *pool) {
  if (!pool)
    return;
  for (block *b = pool->blocks; b;) {
    block *next = b->next;
    explicit_bzero(b->bytes, b->used);
    free(b);
    b = next;
  }
  free(pool);
}

bool tsh_pool_failed(const tsh_pool *pool) { return !pool || pool->failed; }

static block *add_block(tsh_pool *pool, size_t at_least) {
  size_t size = pool->blocks ? pool->blocks->size * 2 : FIRST_BLOCK;
  if (size > LAST_BLOCK)
    size = LAST_BLOCK;
  if (size < at_least)
    size = at_least;
  block *b = malloc(sizeof *b + size);
  if (!b) {
    pool->failed = true;
    return NULL;
  }
  b->next = pool->blocks;
  b->size = size;
  b->used = 0;
  return pool->blocks = b;
}

void *tsh_pool_alloc(tsh_pool *pool, size_t size) {
  if (!pool)
    return NULL;
  if (size > LARGEST) {
    pool->failed = true;
    return NULL;
  }
  size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
  block *b = pool->blocks;
  if (!b || b->size - b->used < size)
    b = add_block(pool, size);
  if (!b)
    return NULL;
  void *p = b->bytes + b->used;
  b->used += size;
  return memset(p, 0, size);
}

char *tsh_pool_copy(tsh_pool *pool, const char *text, size_t length) {
  char *copy = tsh_pool_alloc(pool, length + 1);
  if (copy && length)
    memcpy(copy, text, length);
  return copy;
}

char *tsh_pool_text(tsh_pool *pool, const char *text) {
  return text ? tsh_pool_copy(pool, text, strlen(text)) : NULL;
}

static tsh_data *add(tsh_pool *pool, tsh_data *to, const char *name,
                     tsh_data_kind kind) {
  tsh_data *node = tsh_pool_alloc(pool, sizeof *node);
  if (!node)
    return NULL;
  node->kind = kind;
  node->name = name;
  if (!to)
    return node;
  assert(to->kind == TSH_DATA_TABLE);
  if (to->as.table.last)
    to->as.table.last->next = node;
  else
    to->as.table.first = node;
  to->as.table.last = node;
  return node;
}

tsh_data *tsh_data_table(tsh_pool *pool) {
  return add(pool, NULL, NULL, TSH_DATA_TABLE);
}

tsh_data *tsh_data_add_table(tsh_pool *pool, tsh_data *to, const char *name) {
  return to ? add(pool, to, name, TSH_DATA_TABLE) : NULL;
}

void tsh_data_add_none(tsh_pool *pool, tsh_data *to) {
  if (to)
    add(pool, to, NULL, TSH_DATA_NONE);
}

void tsh_data_add_flag(tsh_pool *pool, tsh_data *to, const char *name,
                       bool flag) {
  tsh_data *node = to ? add(pool, to, name, TSH_DATA_FLAG) : NULL;
  if (node)
    node->as.flag = flag;
}

void tsh_data_add_number(tsh_pool *pool, tsh_data *to, const char *name,
                         int64_t number) {
  tsh_data *node = to ? add(pool, to, name, TSH_DATA_NUMBER) : NULL;
  if (node)
    node->as.number = number;
}

void tsh_data_add_bytes(tsh_pool *pool, tsh_data *to, const char *name,
                        const void *bytes, size_t length) {
  tsh_data *node = to && bytes ? add(pool, to, name, TSH_DATA_TEXT) : NULL;
  if (!node)
    return;
  node->as.text.bytes = bytes;
  node->as.text.length = length;
}

void tsh_data_add_text(tsh_pool *pool, tsh_data *to, const char *name,
                       const char *text) {
  if (text)
    tsh_data_add_bytes(pool, to, name, tsh_pool_text(pool, text), strlen(text));
}

void tsh_data_add_err(tsh_pool *pool, tsh_data *to, const char *name,
                      const tsh_err *err) {
  tsh_err *copy = to ? tsh_pool_alloc(pool, sizeof *copy) : NULL;
  tsh_data *node = copy ? add(pool, to, name, TSH_DATA_ERR) : NULL;
  if (!node)
    return;
  *copy = *err;
  node->as.err = copy;
}

const tsh_data *tsh_data_first(const tsh_data *table) {
  return table && table->kind == TSH_DATA_TABLE ? table->as.table.first : NULL;
}

const tsh_data *tsh_data_get(const tsh_data *table, const char *name) {
  TSH_DATA_EACH(item, table)
  if (item->name && strcmp(item->name, name) == 0)
    return item;
  return NULL;
}

const tsh_data *tsh_data_at(const tsh_data *table, size_t position) {
  TSH_DATA_EACH(item, table)
  if (!item->name && --position == 0)
    return item;
  return NULL;
}

size_t tsh_data_count(const tsh_data *table) {
  size_t count = 0;
  TSH_DATA_EACH(item, table)
  count += !item->name;
  return count;
}

const char *tsh_data_text(const tsh_data *table, const char *name,
                          const char *fallback) {
  const tsh_data *item = tsh_data_get(table, name);
  return item && item->kind == TSH_DATA_TEXT ? item->as.text.bytes : fallback;
}

int64_t tsh_data_number(const tsh_data *table, const char *name,
                        int64_t fallback) {
  const tsh_data *item = tsh_data_get(table, name);
  return item && item->kind == TSH_DATA_NUMBER ? item->as.number : fallback;
}

bool tsh_data_flag(const tsh_data *table, const char *name, bool fallback) {
  const tsh_data *item = tsh_data_get(table, name);
  return item && item->kind == TSH_DATA_FLAG ? item->as.flag : fallback;
}
