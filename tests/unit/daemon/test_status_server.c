/* The status sockets (daemon/status.h) with clients that say nothing, and without descriptors. */
#include "../test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/status_socket.h"
#include "fansync/config.h"
#include "fansync/mem.h"

struct scene {
    char folder[64];
    struct tailing *tailing;
    struct line line;
    struct status_view view;
    struct status_server *server;
    struct pollfd *poll;
    size_t cap;
};

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    struct line *line = &s->line;
    strcpy(s->folder, "/dev/shm/fansync-status.XXXXXX");
    if (!mkdtemp(s->folder))
        return -1;
    strcat(s->folder, "/");
    s->line.channel.folder = s->folder;
    assert_ok(tailing_new(NULL, false, &s->tailing));
    assert_ok(tailing_add(s->tailing, s->folder, &line, 1));
    s->view.tailing = s->tailing;
    s->server = status_server_new(&s->view);
    s->cap = 1;
    s->poll = mem_array(s->cap, sizeof *s->poll);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    char command[128];
    status_server_free(s->server);
    tailing_free(s->tailing);
    snprintf(command, sizeof command, "rm -r %s", s->folder);
    assert_int_equal(system(command), 0);
    free(s->poll);
    free(s);
    return 0;
}

static int connect_client(struct scene *s)
{
    struct sockaddr_un address;
    int folder_fd, fd = status_socket(s->folder, 0, &address, &folder_fd);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(folder_fd);
    return fd;
}

/* One round of the main thread. */
static size_t go_round(struct scene *s)
{
    size_t n = status_server_fds(s->server, &s->poll, 0, &s->cap);
    assert_true(poll(s->poll, n, 0) >= 0);
    status_server_serve(s->server, s->poll);
    return n;
}

static bool is_answered(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
}

static void a_silent_client_is_not_waited_for(void **state)
{
    struct scene *s = *state;
    int silent = connect_client(s), other = connect_client(s);
    const char *word = status_word(STATUS_JSON);
    assert_int_equal(write(other, word, 2), 2); /* not even a line in one piece */
    for (int i = 0; i < 3; i++)
        go_round(s);
    assert_false(is_answered(other));
    assert_int_equal(write(other, word + 2, strlen(word) - 2), (ssize_t)strlen(word) - 2);
    for (int i = 0; i < 3; i++)
        go_round(s);
    assert_true(is_answered(other));
    assert_false(is_answered(silent));
    assert_int_equal(go_round(s), 2); /* the listener, and the silent one */
    close(silent);
    close(other);
    for (int i = 0; i < 3; i++)
        go_round(s);
    assert_int_equal(go_round(s), 1);
}

static bool listens(struct scene *s)
{
    size_t n = status_server_fds(s->server, &s->poll, 0, &s->cap);
    return s->poll[n - 1].fd >= 0;
}

static void without_descriptors_one_client_is_served_and_the_next_does_not_keep_it_busy(void **state)
{
    struct scene *s = *state;
    struct rlimit before, none;
    int first = connect_client(s), second = connect_client(s);
    int lowest = dup(0);
    close(lowest);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = (rlim_t)lowest;
    setrlimit(RLIMIT_NOFILE, &none);
    go_round(s);
    assert_true(listens(s));
    go_round(s);
    assert_false(listens(s));
    assert_int_equal(write(first, "json\n", 5), 5);
    go_round(s);
    assert_true(is_answered(first));
    setrlimit(RLIMIT_NOFILE, &before);
    close(first);
    close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_silent_client_is_not_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_descriptors_one_client_is_served_and_the_next_does_not_keep_it_busy,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests_name("daemon: status server", tests, NULL, NULL);
}
