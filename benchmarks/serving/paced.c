/* Requests at a constant pace, open loop; `paced.py` builds it, calls it and says what it does.
 *
 *     paced ADDRESS PORT REQUEST-FILE RATE SECONDS CONNECTIONS PATIENCE-SECONDS > journal
 *
 * The journal is rows of four doubles. The first row: by how many seconds this client came late at
 * most where a connection was free, then zeros. The others, one a request: when it was due by the
 * monotonic clock, how long its answer took since then and since it was sent, all in seconds, and
 * the answer's status; 0 where none came.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 16384, EVENTS = 64, NOT_YET = -1 };

/* One kept connection with at most one request on it. */
struct line {
	int fd; /* -1: the server closed it while nobody used it */
	bool busy, closes;
	double due, sent;
	int status;
	size_t heard, whole; /* bytes; whole is 0 until the head has come */
	char head[HEAD];
};

struct seen {
	double due, latency, since_sent, status;
};

static struct sockaddr_in address = {.sin_family = AF_INET};
static struct line **idle; /* a stack: who was idle last is warm */
static int n_idle, poller;
static struct seen *journal;
static long n_seen;
static double start;

static double clock_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + 1e-9 * now.tv_nsec;
}

static void connect_line(struct line *line)
{
	int yes = 1;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = line};

	line->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (line->fd < 0 || connect(line->fd, (struct sockaddr *)&address, sizeof address))
		err(1, "connect");
	setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	if (epoll_ctl(poller, EPOLL_CTL_ADD, line->fd, &event))
		err(1, "epoll_ctl");
	line->closes = false;
}

static void note(const struct line *line, double due, int status)
{
	double now = clock_s();
	struct seen seen = {due, now - due, line ? now - line->sent : 0, status};
	journal[n_seen++] = seen;
}

/* The answer is whole, or the connection broke (status 0): that of an idle line is no failure, and
 * another is opened when somebody needs it. */
static void done(struct line *line, int status)
{
	if (!status || line->closes) {
		close(line->fd);
		line->fd = -1;
	}
	if (!line->busy)
		return;
	note(line, line->due, status);
	line->busy = false;
	idle[n_idle++] = line;
}

static void ask(struct line *line, const char *request, size_t size, double due)
{
	if (line->fd < 0)
		connect_line(line);
	line->busy = true;
	line->heard = line->whole = 0;
	line->due = due;
	line->sent = clock_s();
	if (send(line->fd, request, size, MSG_NOSIGNAL) != (ssize_t)size)
		done(line, 0);
}

/* The status once the answer is whole; 0 for a broken connection. */
static int hear(struct line *line)
{
	static char body[1 << 20];
	bool in_head = !line->whole;
	ssize_t more = in_head ? recv(line->fd, line->head + line->heard, HEAD - 1 - line->heard, 0)
	                       : recv(line->fd, body, sizeof body, 0);
	if (more <= 0 || !line->busy)
		return 0;
	line->heard += more;
	if (in_head) {
		char *end, *length;
		line->head[line->heard] = 0;
		end = strstr(line->head, "\r\n\r\n");
		if (!end)
			return line->heard < HEAD - 1 ? NOT_YET : 0;
		*end = 0;
		length = strcasestr(line->head, "\r\ncontent-length:");
		if (!length)
			errx(1, "an answer without Content-Length");
		line->whole = end + 4 - line->head + strtoul(length + 17, NULL, 10);
		line->closes = strcasestr(line->head, "\r\nconnection: close");
		line->status = strlen(line->head) > 12 ? atoi(line->head + 9) : 0;
	}
	return line->heard < line->whole ? NOT_YET : line->status;
}

static char *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	char *data = NULL;
	if (!file || fseek(file, 0, SEEK_END))
		err(1, "%s", path);
	*size = ftell(file);
	rewind(file);
	data = malloc(*size + 1);
	if (!data || fread(data, 1, *size, file) != *size)
		err(1, "%s", path);
	fclose(file);
	return data;
}

int main(int n_words, char **words)
{
	if (n_words != 8)
		errx(2, "ADDRESS PORT REQUEST-FILE RATE SECONDS CONNECTIONS PATIENCE-SECONDS");
	size_t size;
	const char *request = read_file(words[3], &size);
	double rate = atof(words[4]), seconds = atof(words[5]), patience = atof(words[7]), late = 0;
	int n_lines = atoi(words[6]);
	long n_all = rate * seconds, n_due = 0, n_asked = 0;
	struct line *lines = calloc(n_lines, sizeof *lines);

	idle = calloc(n_lines, sizeof *idle);
	journal = calloc(n_all + 1, sizeof *journal);
	poller = epoll_create1(0);
	if (!lines || !idle || !journal || poller < 0)
		err(1, "start");
	address.sin_port = htons(atoi(words[2]));
	if (inet_pton(AF_INET, words[1], &address.sin_addr) != 1)
		errx(2, "%s is no IPv4 address", words[1]);
	for (int n = 0; n < n_lines; n++) {
		connect_line(lines + n);
		idle[n_idle++] = lines + n;
	}

	start = clock_s() + 0.05;
	double now, end = start + seconds + patience;
	while (n_seen < n_all && (now = clock_s()) < end) {
		for (; n_due < n_all && start + n_due / rate <= now; n_due++)
			if (n_due - n_asked < n_idle && now - (start + n_due / rate) > late)
				late = now - (start + n_due / rate);
		for (; n_asked < n_due && n_idle; n_asked++)
			ask(idle[--n_idle], request, size, start + n_asked / rate);

		double pause = n_due < n_all ? start + n_due / rate - clock_s() : 0.1;
		pause = pause > 0 ? pause < 0.1 ? pause : 0.1 : 0;
		struct timespec until = {0, pause * 1e9};
		struct epoll_event events[EVENTS];
		int n = epoll_pwait2(poller, events, EVENTS, &until, NULL);
		if (n < 0 && errno != EINTR)
			err(1, "epoll_pwait2"); /* Linux has it since 5.11 */
		for (int k = 0; k < n; k++) {
			int status = hear(events[k].data.ptr);
			if (status != NOT_YET)
				done(events[k].data.ptr, status);
		}
	}
	for (int n = 0; n < n_lines; n++)
		if (lines[n].busy)
			note(lines + n, lines[n].due, 0);
	for (; n_asked < n_due; n_asked++)
		note(NULL, start + n_asked / rate, 0);

	struct seen first = {.due = late};
	fwrite(&first, sizeof first, 1, stdout);
	fwrite(journal, sizeof *journal, n_seen, stdout);
	if (fflush(stdout) || ferror(stdout))
		err(1, "journal");
	return 0;
}
