/* Line editing: libedit on a thread of the pool.
 *
 * Two threads touch a tsh_edit: the reading one while `reading`, else only the
 * loop's. What both touch at once (question, words, closing) is under `lock`.
 * The reading thread sleeps in poll on the terminal and on a wake pipe, so
 * that closing never waits for a key. */
#include "tranship/edit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_disable() ((void)0)
#define __lsan_enable() ((void)0)
#endif

enum { HISTORY_LINES = 1000, WORDS_SHOWN = 100 };

typedef struct reading {
  tsh_work work; /* first */
  tsh_edit *edit;
  char *line;
  tsh_edit_end end;
} reading;

typedef struct asking {
  tsh_op op; /* first */
  tsh_edit *edit;
  char *question;
  bool is_canceled;
} asking;

struct tsh_edit {
  tsh_loop *loop;
  tsh_bell *bell; /* rung when a question is open */
  EditLine *el;
  History *history;
  char *prompt;
  int wake[2];
  int references; /* the owner's and one per operation */
  bool is_reading;
  bool is_canceled; /* Ctrl-C was pressed; the reading thread's */
  asking *asking;   /* waiting for a question, or NULL */

  pthread_mutex_t lock;
  pthread_cond_t answered;
  bool is_closing;
  char *question; /* open, and not yet taken by an asking */
  bool is_open;   /* a question waits for its answer */
  char **words;
  size_t word_count, typed;
};

static void *must(void *p) {
  if (p == NULL)
    abort();
  return p;
}

static void free_words(tsh_edit *edit) {
  for (size_t i = 0; i < edit->word_count; i++)
    free(edit->words[i]);
  free(edit->words);
  edit->words = NULL;
  edit->word_count = 0;
}

static void release(tsh_edit *edit) {
  if (--edit->references > 0)
    return;
  el_end(edit->el);
  history_end(edit->history);
  close(edit->wake[0]);
  close(edit->wake[1]);
  free_words(edit);
  free(edit->question);
  free(edit->prompt);
  pthread_cond_destroy(&edit->answered);
  pthread_mutex_destroy(&edit->lock);
  free(edit);
}

/* The reading thread. */

static tsh_edit *edit_of(EditLine *el) {
  void *data = NULL;

  el_get(el, EL_CLIENTDATA, &data);
  return data;
}

static char *prompt_of(EditLine *el) { return edit_of(el)->prompt; }

/* A byte from the terminal; false at its end or when the editor closes. */
static bool read_byte(tsh_edit *edit, char *byte) {
  struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                          {.fd = edit->wake[0], .events = POLLIN}};
  ssize_t n;

  do {
    if (poll(fds, 2, -1) < 0 && errno != EINTR)
      return false;
    if (fds[1].revents != 0)
      return false;
    n = fds[0].revents == 0 ? -1 : read(STDIN_FILENO, byte, 1);
  } while (n < 0 && (errno == EINTR || errno == EAGAIN || fds[0].revents == 0));
  return n == 1;
}

static int read_char(EditLine *el, wchar_t *out) {
  tsh_edit *edit = edit_of(el);
  mbstate_t state;
  char byte;

  memset(&state, 0, sizeof state);
  for (;;) {
    size_t n;

    if (!read_byte(edit, &byte))
      return 0;
    n = mbrtowc(out, &byte, 1, &state);
    if (n <= 1)
      return 1;
    if (n == (size_t)-1)
      memset(&state, 0, sizeof state); /* no character: leave it out */
  }
}

static unsigned char cancel_line(EditLine *el, int key) {
  (void)key;
  edit_of(el)->is_canceled = true;
  fputs("^C", stdout);
  return CC_NEWLINE;
}

/* Puts the question and sleeps until it is answered. */
static void put_question(tsh_edit *edit, const char *text, size_t length) {
  pthread_mutex_lock(&edit->lock);
  free_words(edit);
  if (!edit->is_closing) {
    edit->question = must(strndup(text, length));
    edit->is_open = true;
    tsh_bell_ring(edit->bell);
  }
  while (edit->is_open && !edit->is_closing)
    pthread_cond_wait(&edit->answered, &edit->lock);
  pthread_mutex_unlock(&edit->lock);
}

static size_t common_length(const tsh_edit *edit) {
  size_t length = strlen(edit->words[0]);

  for (size_t i = 1; i < edit->word_count; i++) {
    size_t same = 0;

    while (same < length && edit->words[0][same] == edit->words[i][same])
      same++;
    length = same;
  }
  return length;
}

static void show_words(const tsh_edit *edit) {
  size_t shown =
      edit->word_count < WORDS_SHOWN ? edit->word_count : WORDS_SHOWN;
  size_t widest = 0, columns;
  int width = 80;

  el_get(edit->el, EL_GETTC, "co", &width);
  for (size_t i = 0; i < shown; i++) {
    size_t length = strlen(edit->words[i]);

    widest = length > widest ? length : widest;
  }
  columns = (size_t)width / (widest + 2);
  columns = columns == 0 ? 1 : columns;
  for (size_t i = 0; i < shown; i++)
    printf("%s%-*s", i % columns == 0 ? "\n" : "", (int)widest + 2,
           edit->words[i]);
  if (shown < edit->word_count)
    printf("\n(%zu more)", edit->word_count - shown);
  putchar('\n');
  fflush(stdout);
}

static size_t characters(const char *text, size_t length) {
  size_t n = 0;

  for (size_t i = 0; i < length; i++)
    n += ((unsigned char)text[i] & 0xc0) != 0x80;
  return n;
}

static unsigned char complete(EditLine *el, int key) {
  tsh_edit *edit = edit_of(el);
  const LineInfo *line = el_line(el);
  size_t length = (size_t)(line->cursor - line->buffer), common;
  char *word;

  (void)key;
  put_question(edit, line->buffer, length);
  if (edit->word_count == 0 || edit->typed > length)
    return CC_REFRESH_BEEP;
  common = common_length(edit);
  if (edit->word_count > 1 && common <= edit->typed) {
    show_words(edit);
    return CC_REDISPLAY;
  }
  word = must(strndup(edit->words[0], common));
  line = el_line(el);
  if (edit->typed > 0)
    el_deletestr(el, (int)characters(line->cursor - edit->typed, edit->typed));
  el_insertstr(el, word);
  free(word);
  return CC_REFRESH;
}

static int read_run(tsh_work *work) {
  reading *read = (reading *)work;
  tsh_edit *edit = read->edit;
  const char *text;
  int length = 0;

  edit->is_canceled = false;
  el_resize(edit->el);
  text = el_gets(edit->el, &length);
  if (edit->is_canceled) { /* also with nothing on the line */
    read->end = TSH_EDIT_CANCEL;
    return 0;
  }
  if (text == NULL || length <= 0) {
    read->end = TSH_EDIT_EOF;
    return 0;
  }
  while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
    length--;
  read->end = TSH_EDIT_LINE;
  read->line = must(strndup(text, (size_t)length));
  return 0;
}

/* The loop's thread. */

static void wake(tsh_edit *edit) {
  ssize_t n = write(edit->wake[1], "", 1);

  (void)n; /* full: it is awake already */
}

static void read_cancel(tsh_op *op) { wake(((reading *)op)->edit); }

static void read_free(tsh_op *op) {
  reading *read_op = (reading *)op;
  tsh_edit *edit = read_op->edit;
  char drained[16];

  while (!edit->is_closing && read(edit->wake[0], drained, sizeof drained) > 0)
    ; /* a cancel that came after the line */
  edit->is_reading = false;
  free(read_op->line);
  free(read_op);
  release(edit);
}

tsh_op *tsh_edit_read(tsh_edit *edit, const char *prompt) {
  reading *read_op = must(calloc(1, sizeof *read_op));

  assert(!edit->is_reading);
  free(edit->prompt);
  edit->prompt = must(strdup(prompt));
  edit->is_reading = true;
  edit->references++;
  read_op->edit = edit;
  read_op->work.run = read_run;
  read_op->work.op.free = read_free;
  tsh_work_start(edit->loop, &read_op->work);
  read_op->work.op.cancel = read_cancel;
  return &read_op->work.op;
}

const char *tsh_edit_line(const tsh_op *op, tsh_edit_end *end) {
  const reading *read_op = (const reading *)op;

  *end = read_op->end;
  return read_op->line == NULL ? "" : read_op->line;
}

static void ask_free(tsh_op *op) {
  asking *ask = (asking *)op;
  tsh_edit *edit = ask->edit;

  if (edit->asking == ask)
    edit->asking = NULL;
  free(ask->question);
  free(ask);
  release(edit);
}

/* Hands the open question, or the end, to whoever asked for it. */
static void rung(void *user) {
  tsh_edit *edit = user;
  asking *ask = edit->asking;

  if (ask == NULL)
    return;
  pthread_mutex_lock(&edit->lock);
  ask->question = edit->question;
  edit->question = NULL;
  pthread_mutex_unlock(&edit->lock);
  if (ask->is_canceled)
    ask->op.status =
        tsh_err_set(&ask->op.err, TSH_CANCELED, "edit", 0, "canceled");
  else if (ask->question == NULL && !edit->is_closing)
    return;
  edit->asking = NULL;
  ask->op.done(&ask->op);
}

static void ask_cancel(tsh_op *op) {
  asking *ask = (asking *)op;

  if (ask->edit->asking != ask)
    return; /* done already */
  ask->is_canceled = true;
  tsh_bell_ring(ask->edit->bell);
}

tsh_op *tsh_edit_ask(tsh_edit *edit) {
  asking *ask = must(calloc(1, sizeof *ask));

  assert(edit->asking == NULL);
  ask->edit = edit;
  ask->op.cancel = ask_cancel;
  ask->op.free = ask_free;
  edit->asking = ask;
  edit->references++;
  tsh_bell_ring(edit->bell); /* the question may be there already */
  return &ask->op;
}

const char *tsh_edit_question(const tsh_op *op) {
  return ((const asking *)op)->question;
}

void tsh_edit_answer(tsh_edit *edit, const char *const *words, size_t count,
                     size_t typed) {
  pthread_mutex_lock(&edit->lock);
  if (edit->is_open) {
    free_words(edit);
    edit->words = must(calloc(count + 1, sizeof *edit->words));
    for (size_t i = 0; i < count; i++)
      edit->words[i] = must(strdup(words[i]));
    edit->word_count = count;
    edit->typed = typed;
    edit->is_open = false;
    pthread_cond_signal(&edit->answered);
  }
  pthread_mutex_unlock(&edit->lock);
}

/* History. */

void tsh_edit_remember(tsh_edit *edit, const char *line) {
  HistEvent event;

  history(edit->history, &event, H_ENTER, line);
}

int tsh_edit_load(tsh_edit *edit, const char *path, tsh_err *err) {
  HistEvent event;

  if (access(path, R_OK) != 0)
    return tsh_err_errno(err, errno, "%s", path);
  if (history(edit->history, &event, H_LOAD, path) < 0)
    return tsh_err_set(err, TSH_PROTOCOL, "edit", 0, "%s is no history", path);
  return 0;
}

int tsh_edit_save(tsh_edit *edit, const char *path, tsh_err *err) {
  HistEvent event;
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

  if (file == NULL)
    return tsh_err_errno(err, errno, "%s", path);
  history(edit->history, &event, H_SAVE_FP, file);
  if (fclose(file) != 0)
    return tsh_err_errno(err, errno, "%s", path);
  return 0;
}

/* Life. */

/* libedit copies the names of added functions and never frees them, a few bytes
 * once per process: that is no leak of ours. */
static void add_functions(EditLine *el) {
  __lsan_disable();
  el_set(el, EL_ADDFN, "cancel-line", "drop the line", cancel_line);
  el_set(el, EL_ADDFN, "complete", "complete the word", complete);
  __lsan_enable();
}

static void set_up(tsh_edit *edit) {
  EditLine *el = edit->el;
  HistEvent event;

  history(edit->history, &event, H_SETSIZE, HISTORY_LINES);
  history(edit->history, &event, H_SETUNIQUE, 1);
  el_set(el, EL_CLIENTDATA, edit);
  el_set(el, EL_EDITOR, "emacs");
  el_set(el, EL_SIGNAL, 0);
  el_set(el, EL_HIST, history, edit->history);
  el_set(el, EL_PROMPT_ESC, prompt_of, '\1');
  el_set(el, EL_GETCFN, read_char);
  add_functions(el);
  el_set(el, EL_BIND, "^C", "cancel-line", NULL);
  el_set(el, EL_BIND, "^I", "complete", NULL);
  el_set(el, EL_BIND, "^R", "em-inc-search-prev", NULL);
  /* Ctrl-C is a key while a line is edited, and a signal otherwise. */
  el_set(el, EL_SETTY, "-d", "-isig", NULL);
}

int tsh_edit_open(tsh_edit **out, tsh_loop *loop, tsh_err *err) {
  tsh_edit *edit;

  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
    return tsh_err_set(err, TSH_INVALID, "edit", 0, "there is no terminal");
  if (strcmp(setlocale(LC_CTYPE, ""), "C") == 0)
    setlocale(LC_CTYPE, "C.UTF-8");
  edit = must(calloc(1, sizeof *edit));
  edit->loop = loop;
  edit->references = 1;
  edit->prompt = must(strdup(""));
  if (pipe2(edit->wake, O_CLOEXEC | O_NONBLOCK) != 0) {
    free(edit->prompt);
    free(edit);
    return tsh_err_errno(err, errno, "pipe");
  }
  pthread_mutex_init(&edit->lock, NULL);
  pthread_cond_init(&edit->answered, NULL);
  edit->bell = tsh_bell_open(loop, rung, edit);
  edit->el = must(el_init("tranship", stdin, stdout, stderr));
  edit->history = must(history_init());
  set_up(edit);
  *out = edit;
  return 0;
}

void tsh_edit_close(tsh_edit *edit) {
  pthread_mutex_lock(&edit->lock);
  edit->is_closing = true;
  pthread_cond_signal(&edit->answered);
  pthread_mutex_unlock(&edit->lock);
  wake(edit);
  rung(edit);
  tsh_bell_close(edit->bell);
  release(edit);
}
