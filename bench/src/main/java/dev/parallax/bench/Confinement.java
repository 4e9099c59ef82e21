package dev.parallax.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A bound on the memory of processes: a memory control group if one can be made here, which takes root, else RLIMIT_DATA
 * (writable memory of one process, touched or not).
 *
 * <p>Lifetime: until {@link #close()}, which removes the group; its processes have to be over. Threads: one.
 */
final class Confinement implements AutoCloseable {
    private final Path group; // null without control groups
    private final boolean version2;
    private final long bytes;

    private Confinement(Path group, boolean version2, long bytes) {
        this.group = group;
        this.version2 = version2;
        this.bytes = bytes;
    }

    /** By RLIMIT_DATA, whatever else there is. */
    static Confinement ofData(long bytes) {
        return new Confinement(null, false, bytes);
    }

    static Confinement of(long bytes) throws IOException {
        Path two = Path.of("/sys/fs/cgroup");
        Path one = Path.of("/sys/fs/cgroup/memory");
        boolean version2 = Files.exists(two.resolve("cgroup.controllers"));
        Path group = (version2 ? two : one).resolve("plx-confinement-" + ProcessHandle.current().pid());
        Path limit = group.resolve(version2 ? "memory.max" : "memory.limit_in_bytes");
        try {
            Files.createDirectory(group);
            if (Files.isWritable(limit)) {
                Files.writeString(limit, String.valueOf(bytes));
                return new Confinement(group, version2, bytes);
            }
            Files.delete(group);
        } catch (IOException e) {
            Files.deleteIfExists(group);
        }
        return new Confinement(null, false, bytes);
    }

    boolean isGroup() {
        return group != null;
    }

    /** For people. */
    String kind() {
        return group == null ? "RLIMIT_DATA" : "control group v" + (version2 ? 2 : 1);
    }

    /** The command so that it runs inside. */
    List<String> inside(List<String> command) {
        List<String> all = new ArrayList<>();
        if (group == null) {
            all.addAll(List.of("prlimit", "--data=" + bytes));
        } else {
            all.addAll(List.of("sh", "-c", "echo $$ > '" + group.resolve("cgroup.procs") + "' && exec \"$@\"", "sh"));
        }
        all.addAll(command);
        return all;
    }

    /** A process that holds so many bytes until it is destroyed: tail keeps what nobody reads from it. */
    Process eater(long held) throws IOException {
        return new ProcessBuilder(inside(List.of("sh", "-c", "head -c " + held + " /dev/zero | tail -c " + held
                + " | sleep 600"))).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    }

    @Override
    public void close() throws IOException {
        if (group == null) {
            return;
        }
        for (int attempt = 0; Files.exists(group); attempt++) {
            try {
                Files.delete(group); // as rmdir: refused while a process of it is still on its way out
            } catch (IOException e) {
                if (attempt == 50) {
                    throw e;
                }
                try {
                    TimeUnit.MILLISECONDS.sleep(100);
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                    throw e;
                }
            }
        }
    }
}
