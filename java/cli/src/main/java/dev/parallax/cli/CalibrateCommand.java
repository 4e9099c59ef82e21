package dev.parallax.cli;

import com.google.gson.JsonObject;
import dev.parallax.Calibration;
import dev.parallax.Engine;
import dev.parallax.EngineOptions;
import dev.parallax.Parallax;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code plx calibrate}: what a device and the CPU beside it can do, by class of operators. */
@Command(name = "calibrate", mixinStandardHelpOptions = true,
        description = {"Tries which kernels are the fastest on a device, and measures what it and the CPU beside it can do,",
            "by class of operators, in some seconds.",
            "Kept in ~/.cache/parallax; --offload auto measures by itself what is not there yet."})
final class CalibrateCommand implements Callable<Integer> {
    private final Console console;

    @Option(names = "--device", paramLabel = "DEVICE", defaultValue = "opencl",
            description = "opencl (default), or opencl:1 for the second one of doctor's list.")
    private String device;

    @Option(names = "--threads", paramLabel = "N", defaultValue = "0",
            description = "Of the CPU beside it: 0 is one per core (default).")
    private int threads;

    @Option(names = "--again", description = "Measure even if it is known.")
    private boolean again;

    @Option(names = "--json", paramLabel = "FILE", description = "Write the rates there, too.")
    private Path json;

    CalibrateCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        Console.checkWritable(json, "--json");
        PrintStream out = console.out();
        Calibration made;
        try (Engine engine = Engine.create(EngineOptions.builder().threads(threads).build())) {
            made = engine.calibrate(device, again);
        }
        String name = Parallax.accelerators().devices().stream().filter(a -> a.device().equals(device)).findFirst()
                .map(a -> " (" + a.name() + ")").orElse("");
        out.println(device + name + (made.tookSeconds() > 0
                ? String.format(Locale.ROOT, ": measured in %.1f s", made.tookSeconds())
                : ": known already, --again measures anew")
                + (made.file().isEmpty() ? "; it could not be kept in a file" : "; kept in " + made.file()));
        out.println("Latency of a region " + Text.nanos(made.latencySeconds() * 1e9) + ", its border "
                + Text.bytes((long) made.borderBytesPerSecond()) + "/s, a node more "
                + Text.nanos(made.deviceRates().launchSeconds() * 1e9) + " (on the CPU "
                + Text.nanos(made.cpuRates().launchSeconds() * 1e9) + ")");
        if (!made.kernels().isEmpty()) {
            out.println("Kernels for " + made.kernels() + (made.kernelsRatio() == 0 ? "" : made.kernelsRatio() == 1
                    ? ": no others that were tried are faster"
                    : String.format(Locale.ROOT, ": %.2f of the time of those that follow from the device's limits",
                            made.kernelsRatio())));
        }
        Text.Table table = new Text.Table("operators", "unit", ">device", ">CPU", ">device / CPU");
        for (Map.Entry<String, Double> rate : made.deviceRates().perSecond().entrySet()) {
            double cpu = made.cpuRates().perSecond().get(rate.getKey());
            boolean macs = rate.getKey().equals("convolution") || rate.getKey().equals("product");
            table.row(rate.getKey(), macs ? "GMAC/s" : "GB/s", giga(rate.getValue()), giga(cpu),
                    String.format(Locale.ROOT, "%.2f", rate.getValue() / cpu));
        }
        table.print(out, "  ");
        if (json != null) {
            console.writeJson(json, toJson(made));
        }
        return 0;
    }

    private static String giga(double perSecond) {
        return String.format(Locale.ROOT, "%.2f", perSecond / 1e9);
    }

    private static JsonObject toJson(Calibration made) {
        JsonObject all = new JsonObject();
        all.addProperty("device", made.device());
        all.addProperty("latency_s", made.latencySeconds());
        all.addProperty("border_bytes_per_s", made.borderBytesPerSecond());
        all.addProperty("kernels", made.kernels());
        all.addProperty("kernels_ratio", made.kernelsRatio());
        all.add("device_rates", toJson(made.deviceRates()));
        all.add("cpu_rates", toJson(made.cpuRates()));
        return all;
    }

    private static JsonObject toJson(Calibration.Rates rates) {
        JsonObject all = new JsonObject();
        all.addProperty("launch_s", rates.launchSeconds());
        rates.perSecond().forEach(all::addProperty);
        return all;
    }
}
