"""``python -m orchestration`` is the command ``vae-sweeps``."""

from orchestration.cli import main

if __name__ == "__main__":
    main()
