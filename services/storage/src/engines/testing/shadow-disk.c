/*
 * A disk that forgets: an LD_PRELOAD library that keeps, beside every file data.mdb* of the folder
 * SHADOW_ROOT, an image in SHADOW_DIR that receives what was written only when it is synced: by
 * fdatasync or fsync of the file, at once on a descriptor with O_DSYNC or O_SYNC, and names (rename) by
 * fsync of the folder. The image is what a machine finds after its power has failed.
 *
 * With SHADOW_CRASH_AT=n the process is killed before its n-th write or sync, and a part of the unsynced
 * pages, chosen by SHADOW_SEED, reaches the image, as a disk's cache would have it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES = 16, DESCRIPTORS = 4096, NAME = 512, PAGE = 4096 };

struct unsynced { struct unsynced *next; off_t at; size_t size; char bytes[]; };
struct file { char name[NAME], image_name[NAME]; int image; struct unsynced *first, **last; };

static struct file files[FILES];
static int file_count;
static struct { struct file *file; int synchronous, folder; } open_files[DESCRIPTORS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long operations;
static unsigned long dice;

static const char *setting(const char *name) { const char *value = getenv(name); return value ? value : ""; }

static unsigned roll(void) {
  dice = dice * 6364136223846793005UL + 1442695040888963407UL;
  return (unsigned)(dice >> 33);
}

static const char *name_in_root(const char *path) {
  const char *root = setting("SHADOW_ROOT");
  size_t length = strlen(root);
  if (!length || strncmp(path, root, length) || path[length] != '/') return NULL;
  return path + length + 1;
}

static struct file *file_named(const char *name) {
  for (int i = 0; i < file_count; i++)
    if (!strcmp(files[i].name, name)) return &files[i];
  if (file_count == FILES) abort();
  struct file *file = &files[file_count++];
  snprintf(file->name, NAME, "%s", name);
  snprintf(file->image_name, NAME, "%s/%s", setting("SHADOW_DIR"), name);
  file->image = syscall(SYS_openat, AT_FDCWD, file->image_name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file->image < 0) abort();
  file->last = &file->first;
  return file;
}

static void into_image(struct file *file, const char *bytes, size_t size, off_t at) {
  if (syscall(SYS_pwrite64, file->image, bytes, size, at) != (long)size) abort();
}

static void sync_file(struct file *file) {
  while (file->first) {
    struct unsynced *write = file->first;
    into_image(file, write->bytes, write->size, write->at);
    file->first = write->next;
    free(write);
  }
  file->last = &file->first;
}

static void sync_names(void) {
  for (int i = 0; i < file_count; i++) {
    char durable[NAME];
    snprintf(durable, NAME, "%s/%s", setting("SHADOW_DIR"), files[i].name);
    if (strcmp(durable, files[i].image_name)) {
      if (syscall(SYS_renameat2, AT_FDCWD, files[i].image_name, AT_FDCWD, durable, 0)) abort();
      strcpy(files[i].image_name, durable);
    }
  }
}

static void crash(void) {
  dice = strtoul(setting("SHADOW_SEED"), NULL, 10);
  for (int i = 0; i < file_count; i++)
    for (struct unsynced *write = files[i].first; write; write = write->next)
      for (size_t done = 0; done < write->size; done += PAGE) {
        size_t size = write->size - done < PAGE ? write->size - done : PAGE;
        if (roll() & 1) into_image(&files[i], write->bytes + done, size, write->at + done);
      }
  kill(getpid(), SIGKILL);
  pause();
}

static void operation(void) {
  const char *at = setting("SHADOW_CRASH_AT");
  if (*at && ++operations >= atol(at)) crash();
}

static void written(int fd, const char *bytes, size_t size, off_t at) {
  struct file *file = open_files[fd].file;
  if (open_files[fd].synchronous) return into_image(file, bytes, size, at);
  struct unsynced *write = malloc(sizeof *write + size);
  *write = (struct unsynced){.at = at, .size = size};
  memcpy(write->bytes, bytes, size);
  *file->last = write;
  file->last = &write->next;
}

static int tracked(int fd) { return fd >= 0 && fd < DESCRIPTORS && open_files[fd].file; }

static ssize_t traced_write(int fd, const struct iovec *parts, int count, off_t at, int moves) {
  pthread_mutex_lock(&lock);
  operation();
  if (moves) at = syscall(SYS_lseek, fd, 0, SEEK_CUR);
  long result = moves ? syscall(SYS_writev, fd, parts, count)
                      : syscall(SYS_pwritev, fd, parts, count, (long)at, (long)((unsigned long)at >> 31 >> 1));
  int error = errno;
  off_t end = at + (result > 0 ? result : 0);
  for (int i = 0; i < count && at < end; i++) {
    size_t size = end - at < (off_t)parts[i].iov_len ? (size_t)(end - at) : parts[i].iov_len;
    written(fd, parts[i].iov_base, size, at);
    at += size;
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

static int opened(int fd, const char *path, int flags) {
  if (fd < 0 || fd >= DESCRIPTORS) return fd;
  int error = errno;
  pthread_mutex_lock(&lock);
  const char *name = name_in_root(path);
  open_files[fd].file = NULL;
  open_files[fd].folder = !strcmp(path, setting("SHADOW_ROOT"));
  open_files[fd].synchronous = (flags & (O_DSYNC | O_SYNC)) != 0;
  if (name && !strncmp(name, "data.mdb", 8) && !strstr(name, "-lock")) open_files[fd].file = file_named(name);
  pthread_mutex_unlock(&lock);
  errno = error;
  return fd;
}

#define MODE(flags) \
  int mode = 0; \
  if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, int); va_end(rest); }

int open(const char *path, int flags, ...) {
  MODE(flags)
  return opened(syscall(SYS_openat, AT_FDCWD, path, flags, mode), path, flags);
}
int open64(const char *path, int flags, ...) {
  MODE(flags)
  return opened(syscall(SYS_openat, AT_FDCWD, path, flags, mode), path, flags);
}

int close(int fd) {
  if (fd >= 0 && fd < DESCRIPTORS) {
    pthread_mutex_lock(&lock);
    open_files[fd].file = NULL;
    open_files[fd].folder = 0;
    pthread_mutex_unlock(&lock);
  }
  return syscall(SYS_close, fd);
}

ssize_t write(int fd, const void *bytes, size_t size) {
  if (!tracked(fd)) return syscall(SYS_write, fd, bytes, size);
  struct iovec part = {(void *)bytes, size};
  return traced_write(fd, &part, 1, 0, 1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  return tracked(fd) ? traced_write(fd, parts, count, 0, 1) : syscall(SYS_writev, fd, parts, count);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
  if (!tracked(fd)) return syscall(SYS_pwrite64, fd, bytes, size, at);
  struct iovec part = {(void *)bytes, size};
  return traced_write(fd, &part, 1, at, 0);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at) { return pwrite(fd, bytes, size, at); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  if (tracked(fd)) return traced_write(fd, parts, count, at, 0);
  return syscall(SYS_pwritev, fd, parts, count, (long)at, (long)((unsigned long)at >> 31 >> 1));
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) { return pwritev(fd, parts, count, at); }

/* A length is not data, and LMDB does not rely on it; but cutting a file is more than this disk knows. */
int ftruncate(int fd, off_t size) {
  if (tracked(fd)) abort();
  return syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

static int synced(int fd, long number) {
  int known = fd >= 0 && fd < DESCRIPTORS && (open_files[fd].file || open_files[fd].folder);
  if (!known) return syscall(number, fd);
  pthread_mutex_lock(&lock);
  operation();
  /* The real sync only costs time: nobody pulls this machine's plug. */
  if (open_files[fd].file) sync_file(open_files[fd].file);
  else sync_names();
  pthread_mutex_unlock(&lock);
  return 0;
}
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
int fsync(int fd) { return synced(fd, SYS_fsync); }

int rename(const char *from, const char *to) {
  const char *old_name = name_in_root(from), *new_name = name_in_root(to);
  pthread_mutex_lock(&lock);
  long result = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
  int error = errno;
  if (!result && old_name && new_name && !strncmp(old_name, "data.mdb", 8))
    snprintf(file_named(old_name)->name, NAME, "%s", new_name);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}
