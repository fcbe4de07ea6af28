/* SPDX-License-Identifier: MIT */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int lock_file_open(const char *path, bool create) {
    /* Not readable for the world: whoever may read may take a read lock, and so block reaping. */
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT && create) {
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_CREAT | O_EXCL, 0660);
        if (fd >= 0) {
            (void)fchmod(fd, 0660); /* the group must write, whatever the umask of the first one */
        } else if (errno == EEXIST) { /* another was first */
            fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        }
    }
    return fd;
}

int lock_identity(int fd, bool make, uint64_t *out) {
    ssize_t got = pread(fd, out, sizeof *out, 0);
    if (got == (ssize_t)sizeof *out) {
        return 0;
    }
    if (got >= 0 && !make) {
        errno = ENODATA;
        return -1;
    }
    if (got < 0 || getrandom(out, sizeof *out, 0) != (ssize_t)sizeof *out) {
        return -1;
    }
    return pwrite(fd, out, sizeof *out, 0) == (ssize_t)sizeof *out ? 0 : -1;
}

static int lock_call(int fd, int command, short type, uint32_t first, uint32_t count,
                     struct flock *out) {
    *out = (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)first, .l_len = (off_t)count};
    int result;
    do {
        result = fcntl(fd, command, out);
    } while (result < 0 && errno == EINTR);
    return result;
}

bool lock_supported(int fd) {
    struct flock probe;
    return lock_call(fd, F_OFD_GETLK, F_WRLCK, 0, 1, &probe) == 0;
}

int lock_take(int fd, uint32_t byte) {
    struct flock request;
    if (lock_call(fd, F_OFD_SETLK, F_WRLCK, byte, 1, &request) == 0) {
        return 0;
    }
    return errno == EAGAIN || errno == EACCES ? 1 : -1;
}

/* Not F_OFD_SETLKW: nothing but a signal would end that where the holder was stopped. */
int lock_wait(int fd, uint32_t byte) {
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
    for (int waited = 0; waited <= LOCK_WAIT_MS; waited += LOCK_PAUSE_MS) {
        int result = lock_take(fd, byte);
        if (result <= 0) {
            return result;
        }
        (void)nanosleep(&pause, NULL);
    }
    errno = ETIMEDOUT;
    return -1;
}

void lock_drop(int fd, uint32_t byte) {
    struct flock request;
    (void)lock_call(fd, F_OFD_SETLK, F_UNLCK, byte, 1, &request);
}

int lock_probe(int fd, uint32_t first, uint32_t count) {
    struct flock request;
    if (lock_call(fd, F_OFD_GETLK, F_WRLCK, first, count, &request) < 0) {
        return -1;
    }
    return request.l_type == F_UNLCK ? 0 : 1;
}

static int send_descriptor(int socket, int fd) {
    char byte = 0;
    struct iovec text = {.iov_base = &byte, .iov_len = 1};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

int lock_keep(int fd) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return -1;
    }
    int sent = send_descriptor(pair[0], fd);
    int why = errno;
    close(pair[0]);
    if (sent == 0) {
        close(fd);
        return pair[1];
    }
    close(pair[1]);
    /* ETOOMANYREFS: more than RLIMIT_NOFILE descriptors of this user are in flight. Then an early,
     * low number is the next best: sockets opened later mostly get higher ones and go first. */
    if (why == ETOOMANYREFS) {
        return fd;
    }
    errno = why;
    return -1;
}
