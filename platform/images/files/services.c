/*
 * Runs the tasks of a production job one after the other, in the processor's container:
 *
 *   run-tasks CONTROL EVENTS FOLDER { NAME SECONDS COUNT ARGUMENT... }...
 *
 * CONTROL and EVENTS are FIFOs between it and the runner, which is in a container beside it. It begins when the runner
 * writes to CONTROL, and ends what runs when the runner closes it. On EVENTS it says what happens, one line a thing:
 *
 *   start NAME | exit NAME CODE | signal NAME NUMBER | timeout NAME | missing NAME WHY
 *   usage NAME MICROSECONDS USER SYSTEM LARGEST PEAK READ WRITTEN FROM-STORAGE TO-STORAGE, before exit and signal
 *
 * Where EVENTS ends without the end of a task, the container was ended from outside. A task that ends above 127 is the
 * last one. What a task leaves running is ended with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WRONG_USE = 2, GRACE_SECONDS = 10, LAST_GOOD = 127 };

static int control, events, signals;
static int begun, stopping;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* Waits for a signal or the end of the runner; returns when something happened or `end` is reached. */
static void wait_until(double end)
{
	struct pollfd watched[] = {{signals, POLLIN, 0}, {stopping ? -1 : control, POLLIN, 0}};
	double left = end - now();
	struct signalfd_siginfo told;
	char byte;

	if (left < 0)
		left = 0;
	if (poll(watched, 2, left > 1e6 ? 1000000000 : (int)(left * 1000) + 1) <= 0)
		return;
	if (watched[0].revents && read(signals, &told, sizeof told) == sizeof told && told.ssi_signo != SIGCHLD)
		stopping = 1;
	if (watched[1].revents) {
		if (read(control, &byte, 1) == 1)
			begun = 1;
		else
			stopping = 1;
	}
}

/* What all that was waited for has used so far. */
struct used {
	double time;
	struct rusage cpu;
	unsigned long long io[4];
};

static struct used used_now(void)
{
	/* The kernel adds what a process has read and written to that of who waits for it. */
	static const char *const names[] = {"rchar: %llu", "wchar: %llu", "read_bytes: %llu", "write_bytes: %llu"};
	struct used found = {.time = now()};
	FILE *file = fopen("/proc/self/io", "re");
	char line[128];

	getrusage(RUSAGE_CHILDREN, &found.cpu);
	while (file && fgets(line, sizeof line, file))
		for (int each = 0; each < 4; each++)
			sscanf(line, names[each], &found.io[each]);
	if (file)
		fclose(file);
	return found;
}

static long long microseconds(struct timeval before, struct timeval after)
{
	return (after.tv_sec - before.tv_sec) * 1000000LL + after.tv_usec - before.tv_usec;
}

/* Most memory that the container has had; 0 where the kernel doesn't tell. */
static unsigned long long peak(void)
{
	FILE *file = fopen("/sys/fs/cgroup/memory.peak", "re");
	unsigned long long octets = 0;

	if (file) {
		if (fscanf(file, "%llu", &octets) != 1)
			octets = 0;
		fclose(file);
	}
	return octets;
}

static void tell_usage(const char *name, const struct used *before, long largest_kib)
{
	struct used after = used_now();

	dprintf(events, "usage %s %lld %lld %lld %lld %llu", name, (long long)((after.time - before->time) * 1e6),
		microseconds(before->cpu.ru_utime, after.cpu.ru_utime), microseconds(before->cpu.ru_stime, after.cpu.ru_stime),
		largest_kib * 1024LL, peak());
	for (int each = 0; each < 4; each++)
		dprintf(events, " %llu", after.io[each] - before->io[each]);
	dprintf(events, "\n");
}

/* Collects what ended; tells whether `task` did, how, and what its largest process was. */
static int ended(pid_t task, int *status, long *largest_kib)
{
	struct rusage used;
	int any, found = 0;
	pid_t pid;

	while ((pid = wait4(-1, &any, WNOHANG, &used)) > 0)
		if (pid == task) {
			*status = any;
			*largest_kib = used.ru_maxrss;
			found = 1;
		}
	return found;
}

static void kill_all(pid_t task, int signal)
{
	if (kill(-task, signal) && errno != ESRCH)
		kill(task, signal);
	if (getpid() == 1)
		kill(-1, signal);
}

static pid_t start(char **command, const char *folder, int *why)
{
	sigset_t none;
	int told[2];
	pid_t pid;

	if (pipe2(told, O_CLOEXEC) || (pid = fork()) < 0) {
		*why = errno;
		return -1;
	}
	if (pid == 0) {
		setpgid(0, 0);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (chdir(folder) == 0)
			execvp(command[0], command);
		*why = errno;
		if (write(told[1], why, sizeof *why) < 0)
			_exit(LAST_GOOD);
		_exit(LAST_GOOD);
	}
	setpgid(pid, pid);
	close(told[1]);
	if (read(told[0], why, sizeof *why) == sizeof *why) {
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	close(told[0]);
	return pid;
}

/* Runs one task; tells whether the next one may run. */
static int run(const char *name, double seconds, char **command, const char *folder)
{
	int status = 0, why = 0, over = 0;
	double end = now() + seconds;
	struct used before = used_now();
	long largest = 0;
	pid_t task;

	dprintf(events, "start %s\n", name);
	task = start(command, folder, &why);
	if (task < 0) {
		dprintf(events, "missing %s %s: %s\n", name, command[0], strerror(why));
		return 0;
	}
	while (!(over = ended(task, &status, &largest)) && !stopping && now() < end)
		wait_until(end);
	if (!over) {
		double grace = now() + GRACE_SECONDS;

		if (!stopping)
			dprintf(events, "timeout %s\n", name);
		kill_all(task, SIGTERM);
		while (!(over = ended(task, &status, &largest)) && now() < grace)
			wait_until(grace);
		kill_all(task, SIGKILL);
		while (!over && !(over = ended(task, &status, &largest)))
			wait_until(now() + 1);
		return 0;
	}
	kill_all(task, SIGKILL);
	tell_usage(name, &before, largest);
	if (WIFSIGNALED(status)) {
		dprintf(events, "signal %s %d\n", name, WTERMSIG(status));
		return 0;
	}
	dprintf(events, "exit %s %d\n", name, WEXITSTATUS(status));
	return WEXITSTATUS(status) <= LAST_GOOD;
}

int main(int count, char **given)
{
	sigset_t handled;
	int next = 4;

	if (count < 8)
		return WRONG_USE;
	sigemptyset(&handled);
	sigaddset(&handled, SIGCHLD);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGINT);
	if (sigprocmask(SIG_BLOCK, &handled, NULL) || (signals = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return WRONG_USE;
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if ((control = open(given[1], O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0) {
		perror(given[1]);
		return WRONG_USE;
	}
	while (!begun && !stopping)
		wait_until(now() + 3600);
	if (stopping)
		return 0;
	/* The runner reads before it writes: that nobody does is an error, and no reason to wait. */
	if ((events = open(given[2], O_WRONLY | O_CLOEXEC | O_NONBLOCK)) < 0 || fcntl(events, F_SETFL, O_WRONLY)) {
		perror(given[2]);
		return WRONG_USE;
	}
	while (next + 3 < count && !stopping) {
		const char *name = given[next];
		double seconds = atof(given[next + 1]);
		int length = atoi(given[next + 2]);
		char **command = given + next + 3, *after;

		next += 3 + length;
		if (length < 1 || next > count)
			return WRONG_USE;
		after = given[next];
		given[next] = NULL;
		if (!run(name, seconds, command, given[3]))
			break;
		given[next] = after;
	}
	return 0;
}
