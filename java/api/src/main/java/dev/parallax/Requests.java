package dev.parallax;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;

/**
 * A session's requests. Each runs in one of the sessions beside it, on a thread of ours, as many at a time as there are such
 * sessions; they start in the order in which they come and end in that order.
 *
 * <p>Threads: any number, {@link #submit} by one at a time.
 */
final class Requests implements AutoCloseable {
    private static final long THREADS_KEPT_SECONDS = 10;
    private static final AtomicInteger COUNT = new AtomicInteger();

    private final Deque<Session> idle;  // its own lock
    private final ThreadPoolExecutor threads;
    private final ThreadGroup group = new ThreadGroup("parallax-requests");
    private CompletableFuture<Void> last = CompletableFuture.completedFuture(null);  // all so far have ended
    private volatile boolean closed;

    /** Takes over the sessions. */
    Requests(List<Session> sessions) {
        idle = new ArrayDeque<>(sessions);
        threads = new ThreadPoolExecutor(sessions.size(), sessions.size(), THREADS_KEPT_SECONDS, TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(), task -> {
            Thread thread = new Thread(group, task, "parallax-request-" + COUNT.incrementAndGet());
            thread.setDaemon(true);
            return thread;
        });
        threads.allowCoreThreadTimeOut(true);
    }

    <R> CompletableFuture<R> submit(Map<String, Value> inputs, Function<Session, R> read) {
        Request<R> request = new Request<>(inputs, read);
        CompletableFuture<Void> before = last;
        last = CompletableFuture.allOf(before, request.ran.handle((value, error) -> null)).thenRun(request::publish);
        threads.execute(request::run);
        return request.result;
    }

    /** Waits for those in progress, unless it is one of these that closes; the others fail. */
    @Override
    public void close() {
        closed = true;
        threads.shutdown();
        boolean interrupted = false;
        while (Thread.currentThread().getThreadGroup() != group && !threads.isTerminated()) {
            try {
                threads.awaitTermination(Long.MAX_VALUE, TimeUnit.NANOSECONDS);
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        synchronized (idle) {
            idle.forEach(Session::close);
            idle.clear();
        }
    }

    private Session take() {
        synchronized (idle) {
            return idle.pop();  // there are as many as threads
        }
    }

    private void giveBack(Session session) {
        session.forgetInputs();
        synchronized (idle) {
            if (!closed) {
                idle.push(session);
                return;
            }
        }
        session.close();
    }

    private final class Request<R> {
        private final Map<String, Value> inputs;
        private final Function<Session, R> read;
        private final CompletableFuture<R> ran = new CompletableFuture<>();
        private final CompletableFuture<R> result = new CompletableFuture<>();
        private Session session;  // while it runs; under the lock of this

        Request(Map<String, Value> inputs, Function<Session, R> read) {
            this.inputs = inputs;
            this.read = read;
            result.whenComplete((value, error) -> {
                if (result.isCancelled()) {
                    stop();
                }
            });
        }

        private synchronized void stop() {
            if (session != null) {
                session.cancel();
            }
        }

        /** Where its result goes, whose turn it is now. */
        private void publish() {
            ran.whenComplete((value, error) -> {
                if (error == null) {
                    result.complete(value);
                } else {
                    result.completeExceptionally(error);
                }
            });
        }

        private void run() {
            R value = null;
            Throwable problem = null;
            if (closed) {
                problem = new IllegalStateException("this session was closed before the request began");
            } else if (result.isCancelled()) {
                problem = new CancellationException();
            } else {
                Session taken = take();
                try {
                    inputs.forEach(taken::bindInput);
                    synchronized (this) {
                        session = taken;
                    }
                    taken.runUnless(result::isCancelled);
                    value = read.apply(taken);
                } catch (Throwable e) {  // whatever it is, it is the request's
                    problem = e;
                } finally {
                    synchronized (this) {
                        session = null;
                    }
                    giveBack(taken);
                }
            }
            if (problem == null) {
                ran.complete(value);
            } else {
                ran.completeExceptionally(problem);
            }
        }
    }
}
