"""New instructions from models: Self-Instruct, TeGit, instruction induction, APE and OPRO."""
